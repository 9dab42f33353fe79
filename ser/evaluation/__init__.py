"""Metrics, confidence intervals, significance tests, subgroups, robustness, leakage and regression checks."""
