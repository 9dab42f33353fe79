"""Softer or sharper probabilities. Arrays in, arrays out, by nothing but NumPy: a model that answers needs no more."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

TINY = 1e-12
"""Stands for a probability of 0, of which there is no logarithm."""


def logits(shares: Array) -> Array:
    """Take the logarithms of (rows, classes) probabilities."""
    return np.log(np.maximum(shares, TINY))


def log_softmax(values: Array) -> Array:
    """Turn (rows, classes) logits into logarithms of probabilities."""
    shifted = values - values.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def divide(values: Array, temperature: npt.ArrayLike) -> Array:
    """Turn (rows, classes) logits into probabilities at a temperature: one number, or one a row."""
    return np.exp(log_softmax(values / np.asarray(temperature, dtype=np.float64).reshape(-1, 1)))
