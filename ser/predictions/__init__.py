"""The prediction table and temperature scaling: the interface between models and evaluation."""
