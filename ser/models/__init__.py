"""Networks, baselines, training batches and cross-validation."""
