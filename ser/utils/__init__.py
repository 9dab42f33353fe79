"""Errors, atomic files, parallel map, progress bars and seeding."""
