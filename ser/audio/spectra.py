"""Spectra, what is measured of them, spectral gating and loud frames by nothing but NumPy, for training and answers.

What librosa, SciPy and noisereduce compute, and tests hold it to them. Their imports take longer than a person who
asks for one answer wants to wait: two seconds, against 0.1 of everything here.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

GATE, GATE_HOP = 512, 128
"""Samples of a frame, and between frames, of spectral gating."""
CHUNK = 600_000
"""Samples that are gated at a time; the noise of the first of them counts for all."""
DEVIATIONS = 1.5
"""Standard deviations above its mean over time from which a band is no noise."""
RANGE_DB = 80.0
"""How far below its loudest frame a band may be quiet."""
SMOOTH_HZ, SMOOTH_SECONDS = 500, 0.05
"""Over how much the gates are smoothed."""


@lru_cache
def hann(size: int) -> Doubles:
    """Make a periodic Hann window: (size,)."""
    return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, size + 1))[:-1]


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


# Spectral gating ------------------------------------------------------------------------------------------------------


def gated(signal: Array, *, rate: int, share: float) -> Array:
    """Take stationary noise away.

    Parameters
    ----------
    signal : (n_samples,) float32
        Of `GATE` samples at least.
    rate
        In Hz.
    share
        Of the amplitude that gates take away, from 0 to 1.

    References
    ----------
    Sainburg, Thielk & Gentner (2020), doi:10.1371/journal.pcbi.1008228.
    """
    levels = _decibels(_transform(signal[:CHUNK]))
    threshold = levels.mean(axis=0) + DEVIATIONS * levels.std(axis=0)
    around = rate // 8
    padded = np.pad(
        signal.astype(np.float64), (around, around + -len(signal) % CHUNK if len(signal) > CHUNK else around)
    )
    starts = range(0, len(signal), CHUNK)
    chunks = [padded[start : start + CHUNK + 2 * around] for start in starts]
    parts = [_gate(chunk, threshold, rate=rate, share=share)[around:-around] for chunk in chunks]
    return np.concatenate(parts)[: len(signal)].astype(np.float32)


def _gate(chunk: Doubles, threshold: Doubles, *, rate: int, share: float) -> Doubles:
    spectrum = _transform(chunk)
    gates = np.where(_decibels(spectrum) > threshold, 1.0, 1.0 - share)
    found = _inverse(spectrum * _smooth(gates, rate=rate))
    return np.pad(found, (0, len(chunk) - len(found)))


def _transform(signal: npt.NDArray[Any]) -> Complex:
    """Transform a signal: (frames, 1 + GATE // 2), complex64 of float32 and complex128 of float64."""
    window = hann(GATE).astype(signal.dtype)
    return np.fft.rfft(framed(signal, size=GATE, hop=GATE_HOP) * window) / window.sum()


def _inverse(spectrum: Complex) -> Doubles:
    """Add up overlapping frames: the inverse of `_transform`, but for samples behind the last frame's middle."""
    window, overlap = hann(GATE), GATE // GATE_HOP
    frames = np.fft.irfft(spectrum, GATE) * window.sum() * window
    weights = np.broadcast_to(np.square(window), frames.shape)
    total, norm = (_overlapped(values.reshape(len(frames), overlap, GATE_HOP)) for values in (frames, weights))
    inner = slice(GATE // 2, -(GATE // 2))
    return total[inner] / np.where(norm[inner] > 1e-10, norm[inner], 1.0)


def _overlapped(blocks: Doubles) -> Doubles:
    """Add (frames, overlap, hop) blocks where they belong: the second of a frame onto the first of the next."""
    n_frames, overlap, hop = blocks.shape
    total = np.zeros((n_frames + overlap - 1, hop))
    for place in reversed(range(overlap)):
        total[place : place + n_frames] += blocks[:, place]
    return total.ravel()


def _decibels(spectrum: Complex) -> npt.NDArray[Any]:
    levels = 20 * np.log10(np.abs(spectrum) + np.finfo(np.float64).eps)
    return np.maximum(levels, levels.max(axis=0) - RANGE_DB)


def _smooth(gates: Doubles, *, rate: int) -> Doubles:
    """Smooth (frames, bins) gates by triangles over time and over frequency, with nothing beyond the edges."""
    over_time = _triangle(int(SMOOTH_SECONDS * 1000 / (GATE_HOP / rate * 1000)))
    over_frequency = _triangle(int(SMOOTH_HZ / (rate / (GATE / 2))))
    return _convolved(_convolved(gates, over_time).T, over_frequency).T


def _triangle(size: int) -> Doubles:
    sides = np.linspace(0, 1, size + 1, endpoint=False), np.linspace(1, 0, size + 2)
    values = np.concatenate(sides)[1:-1]
    return values / values.sum()


def _convolved(values: Doubles, kernel: Doubles) -> Doubles:
    """Convolve along the first axis; a kernel has an odd length."""
    half = len(kernel) // 2
    padded = np.pad(values, ((half, half), (0, 0)))
    total = np.zeros_like(values)
    for place, weight in enumerate(kernel):
        total += weight * padded[place : place + len(values)]
    return total
