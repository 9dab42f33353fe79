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


def fast_length(size: int) -> int:
    """Find the next length that transforms are fast at: a product of twos, threes and fives."""
    while _rest(size) > 1:
        size += 1
    return size


def _rest(size: int) -> int:
    for factor in (2, 3, 5):
        while size % factor == 0:
            size //= factor
    return size


def framed(signal: npt.NDArray[Any], *, size: int, hop: int) -> npt.NDArray[Any]:
    """View a signal, with zeros put around it, as frames centred at every `hop`-th sample: (frames, size)."""
    padded = np.pad(signal, size // 2)
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def power(signal: Array, *, size: int, hop: int) -> Array:
    """Compute a power spectrogram, (1 + size // 2, 1 + n_samples // hop), a sine of full scale reaching 0.25."""
    window = hann(size) / hann(size).sum()
    spectrum = np.fft.rfft(framed(signal, size=size, hop=hop) * window).astype(np.complex64)
    return np.square(np.abs(spectrum)).T


@lru_cache
def mel_bank(*, rate: int, size: int, bands: int, low_hz: float) -> Array:
    """Make triangular filters, (bands, 1 + size // 2), their tops at 1, evenly spaced in mel up to half the rate.

    References
    ----------
    Slaney (1998), Auditory Toolbox: linear below 1 kHz, logarithmic above.
    """
    edges = _hz(np.linspace(_mel(low_hz), _mel(rate / 2), bands + 2))
    widths, ramps = np.diff(edges), np.subtract.outer(edges, np.fft.rfftfreq(size, 1 / rate))
    rising, falling = -ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


KNEE_HZ, HZ_A_MEL, LOG_STEP = 1000.0, 200.0 / 3, np.log(6.4) / 27.0


def _mel(hz: float) -> float:
    return hz / HZ_A_MEL if hz < KNEE_HZ else KNEE_HZ / HZ_A_MEL + float(np.log(hz / KNEE_HZ) / LOG_STEP)


def _hz(mel: Doubles) -> Doubles:
    knee = KNEE_HZ / HZ_A_MEL
    return np.where(mel < knee, HZ_A_MEL * mel, KNEE_HZ * np.exp(LOG_STEP * np.maximum(mel - knee, 0)))


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


@lru_cache
def chroma_bank(*, rate: int, size: int, bins: int) -> Array:
    """Make filters of pitch classes, (bins, 1 + size // 2), C first, tuned to 440 Hz; five octaves count most.

    References
    ----------
    Ellis (2007), Chroma feature analysis and synthesis.
    """
    octaves = np.log2(np.linspace(0, rate, size, endpoint=False)[1:] / (440 / 16))
    places = bins * np.concatenate([[octaves[0] - 1.5], octaves])
    widths = np.append(np.maximum(np.diff(places), 1), 1)
    half = round(bins / 2)
    away = np.remainder(np.subtract.outer(np.arange(bins), places) * -1 + half + 10 * bins, bins) - half
    weights = np.exp(-0.5 * np.square(2 * away / widths))
    weights /= np.sqrt(np.square(weights).sum(axis=0))
    weights *= np.exp(-0.5 * np.square((places / bins - 5) / 2))
    return np.roll(weights, -3 * (bins // 12), axis=0)[:, : 1 + size // 2].astype(np.float32)


def crossings(signal: Array, *, size: int, hop: int) -> Array:
    """Compute the share of neighbouring samples of each frame that differ in sign: (frames,).

    A signal goes on beyond its ends as it was there; what is below 1e-10 is 0, and positive.
    """
    padded = np.pad(signal, size // 2, mode="edge")
    negative = padded < -1e-10
    frames = np.lib.stride_tricks.sliding_window_view(negative[1:] != negative[:-1], size - 1)[::hop]
    return (frames.sum(axis=1) / size).astype(np.float32)


def loud_part(signal: Array, *, below_db: float, size: int, hop: int) -> slice:
    """Say where a signal is loud: from its first frame to its last that is within `below_db` dB of the loudest."""
    frames = framed(signal, size=size, hop=hop)
    # Squared twice, as librosa does, which turns a mean square into an amplitude and back.
    levels = np.square(np.sqrt(np.mean(np.square(frames), axis=1)))
    floor = np.float32(1e-10)
    db = 10 * np.log10(np.maximum(floor, levels)) - 10 * np.log10(np.maximum(floor, levels.max()))
    loud = np.flatnonzero(db > -below_db)
    return slice(int(loud[0]) * hop, min(len(signal), (int(loud[-1]) + 1) * hop))


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
