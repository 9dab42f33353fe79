"""Frames, cosine transform and derivatives by NumPy."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def framed(signal: npt.NDArray[Any], *, size: int, hop: int) -> npt.NDArray[Any]:
    """View a signal, with zeros put around it, as frames centred at every `hop`-th sample: (frames, size)."""
    padded = np.pad(signal, size // 2)
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def cosines(values: Array, *, size: int) -> Array:
    """Compute the first coefficients of columns' orthonormal discrete cosine transform of type 2: (size, frames)."""
    n = len(values)
    basis = np.cos(np.pi / n * np.outer(np.arange(size), np.arange(n) + 0.5)) * np.sqrt(2 / n)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32) @ values


def derivative(values: Array, *, order: int, width: int = 9) -> Array:
    """Compute rows' derivatives over frames, by a polynomial of that order fitted around each: (rows, frames).

    The first and the last frame are repeated beyond the ends.

    References
    ----------
    Savitzky & Golay (1964), doi:10.1021/ac60214a047.
    """
    half = width // 2
    powers = np.vander(np.arange(-half, half + 1), order + 1, increasing=True)
    weights = (math.factorial(order) * np.linalg.pinv(powers)[order]).astype(np.float32)
    padded = np.pad(values, ((0, 0), (half, half)), mode="edge")
    around: Array = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1) @ weights
    return around
