"""Training augmentation, and corruptions for robustness tests."""
