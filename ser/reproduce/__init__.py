"""Read, rebuild and compare Git revisions."""
