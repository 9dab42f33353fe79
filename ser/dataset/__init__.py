"""Recording and clip tables, preprocessing, and train/validation/test splits."""
