"""Frame-level features, clip-level functionals and the feature store."""
