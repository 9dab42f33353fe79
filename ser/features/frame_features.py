"""Frame features: (n_samples,) -> (frames, features).

All frame features are computed from one short-time Fourier transform, centred, so that they have the same
number of frames: ``1 + n_samples // hop``. Nothing here knows files or models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.audio import spectra
from ser.features.columns import Array
from ser.params import Features

MIN_POWER = 1e-8
"""Power below which a band counts as silent: -80 dB of full scale."""

MIN_BIN_POWER = 1e-10
"""Power below which a single bin of the spectrum counts as silent: a silent frame is white noise of this level."""

F0_RANGE_HZ = (65.0, 600.0)
"""The lowest and highest fundamental that is looked for, in Hz: low voices at rest, high ones that shout."""

SEMITONE_REFERENCE_HZ = 27.5
"""The pitch of 0 semitones, an A."""


@dataclass(frozen=True)
class FrameAnalysis:
    """A signal and what several features need of it, computed once."""

    signal: Array
    rate: int
    settings: Features

    @property
    def window(self) -> int:
        """Length of a frame in samples; even, so that frames lie centred."""
        return 2 * round(self.settings.window_seconds * self.rate / 2)

    @property
    def hop(self) -> int:
        """Distance of frames in samples."""
        return round(self.settings.hop_seconds * self.rate)

    @cached_property
    def power(self) -> Array:
        """Power spectrogram, (1 + window // 2, frames), a sine of full scale reaching 0.25."""
        return spectra.power(self.signal, size=self.window, hop=self.hop)

    @cached_property
    def log_mel(self) -> Array:
        """Log-mel spectrogram in dB, (bands, frames)."""
        mel = self.settings.mel
        # A band holds the power of its bins, so that dB of full scale keep their meaning.
        bank = spectra.mel_bank(rate=self.rate, size=self.window, bands=mel.bands, low_hz=mel.low_hz)
        return (10 * np.log10(np.maximum(bank @ self.power, MIN_POWER))).astype(np.float32)


def mel(framed: FrameAnalysis) -> Array:
    """Log-mel spectrogram: (frames, bands) in dB, floored at -80."""
    return framed.log_mel.T


def mfcc(framed: FrameAnalysis) -> Array:
    """Mel-frequency cepstral coefficients and their derivatives: (frames, coefficients * (1 + deltas)).

    Derivatives are slopes of a line fitted to nine frames (Savitzky-Golay), as librosa's default.

    References
    ----------
    Davis & Mermelstein (1980), doi:10.1109/TASSP.1980.1163420.
    """
    settings = framed.settings.mfcc
    static = spectra.cosines(framed.log_mel, size=settings.coefficients)
    orders = [spectra.derivative(static, order=n) for n in range(1, settings.deltas + 1)]
    return np.concatenate([static, *orders]).T


def chroma(framed: FrameAnalysis) -> Array:
    """Energy by pitch class: (frames, bins), the strongest of each frame being 1."""
    bins = framed.settings.chroma.bins
    classes = spectra.chroma_bank(rate=framed.rate, size=framed.window, bins=bins) @ framed.power
    strongest = classes.max(axis=0)
    strongest[strongest < np.finfo(np.float32).tiny] = 1
    return (classes / strongest).T


def rms(framed: FrameAnalysis) -> Array:
    """Root-mean-square level: (frames, 1) in dB of full scale, floored at -80."""
    frames = spectra.framed(framed.signal, size=framed.window, hop=framed.hop)
    return 10 * np.log10(np.maximum(np.square(frames).mean(axis=1, keepdims=True), MIN_POWER))


def zcr(framed: FrameAnalysis) -> Array:
    """Zero-crossing rate: (frames, 1), the share of neighbouring samples that differ in sign."""
    return spectra.crossings(framed.signal, size=framed.window, hop=framed.hop)[:, None]


def pitch(framed: FrameAnalysis) -> Array:
    """Pitch, voicing and voice quality: (frames, 3).

    The columns are the fundamental frequency in semitones above `SEMITONE_REFERENCE_HZ`; 1 where the frame is voiced
    and 0
    elsewhere; the ratio of harmonics to noise in dB, from -20 to 30. Pitch is the strongest peak of the
    autocorrelation of three periods of the lowest of `F0_RANGE_HZ`, smoothed by a median over five frames. An unvoiced
    frame has the pitch on the line between its voiced neighbours, so that means and slopes stay those of the melody;
    a clip without a voice has the middle of `F0_RANGE_HZ` throughout.

    References
    ----------
    Boersma (1993), Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a
    sampled sound. The semitones are those of eGeMAPS: Eyben et al. (2016), doi:10.1109/TAFFC.2015.2457417.
    """
    lags, strength, voiced = _estimate_f0(framed)
    semitones = _interpolate_unvoiced(12 * np.log2(framed.rate / (lags * SEMITONE_REFERENCE_HZ)), voiced)
    strength = strength.clip(0.01, 0.999)
    return np.stack([semitones, voiced, 10 * np.log10(strength / (1 - strength))], axis=1)


def voiced_fraction(signal: Array, settings: Features, *, rate: int) -> float:
    """Compute the share of frames that are voiced, from 0 to 1: speech has them, noise has not."""
    return float(_estimate_f0(FrameAnalysis(signal=signal, rate=rate, settings=settings))[2].mean())


def _estimate_f0(framed: FrameAnalysis) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Find the period of each frame, in samples, the correlation there, and whether it is voiced: (frames,) each."""
    correlation, level = _autocorrelation(framed)
    lags, strength = _pick_period(correlation, rate=framed.rate)
    # Praat's threshold, and not in the silence between words.
    return lags, strength, (strength > 0.45) & (level > level.max() - 40)


def _autocorrelation(framed: FrameAnalysis) -> tuple[Array, Array]:
    """Correlate each frame with itself: (frames, lags) from -1 to 1, lag 0 first; and the frames' levels in dB."""
    longest = int(framed.rate / F0_RANGE_HZ[0]) + 2
    window = spectra.hann(2 * round(1.5 * framed.rate / F0_RANGE_HZ[0])).astype(np.float32)
    frames = spectra.framed(framed.signal, size=len(window), hop=framed.hop)
    size = spectra.fast_length(len(window) + longest)
    centred = (frames - frames.mean(axis=1, keepdims=True)) * window
    products = _correlate(centred, size)[:, :longest]
    # The window's own correlation is divided out, or longer periods would look weaker than they are.
    expected = _correlate(window, size)[:longest]
    power = np.maximum(products[:, :1] / expected[0], MIN_BIN_POWER)
    return products / (power * expected), 10 * np.log10(power[:, 0])


def _correlate(frames: Array, size: int) -> Array:
    return np.asarray(np.fft.irfft(np.square(np.abs(np.fft.rfft(frames, size))), size))


def _pick_period(correlation: Array, *, rate: int) -> tuple[Array, Array]:
    """Find the period of each frame, in samples and between them, and the correlation there: two (frames,) arrays."""
    first = int(rate / F0_RANGE_HZ[1])
    left, middle, right = correlation[:, first - 1 : -2], correlation[:, first:-1], correlation[:, first + 1 :]
    # Two periods correlate as one does: of equal peaks the shortest lag is the period.
    cost = 0.03 * np.log2(np.arange(first, first + middle.shape[1]) / first)
    peaks = np.where((middle >= left) & (middle > right), middle - cost, -1)
    best = (np.arange(len(peaks)), peaks.argmax(axis=1))
    # A parabola through the peak and its neighbours has its top between samples.
    bend = np.minimum(left[best] - 2 * middle[best] + right[best], -1e-9)
    shift = (0.5 * (left[best] - right[best]) / bend).clip(-0.5, 0.5)
    strength = middle[best] - 0.25 * (left[best] - right[best]) * shift
    return first + best[1] + shift, np.where(peaks[best] > -1, strength, 0)


def _interpolate_unvoiced(pitches: Array, voiced: npt.NDArray[np.bool_]) -> Array:
    """Draw lines over unvoiced frames, level before the first voiced one and after the last, and smooth."""
    if not voiced.any():
        middle = np.sqrt(F0_RANGE_HZ[0] * F0_RANGE_HZ[1])
        return np.full_like(pitches, 12 * np.log2(middle / SEMITONE_REFERENCE_HZ))
    lines = np.interp(np.arange(len(voiced)), np.flatnonzero(voiced), pitches[voiced])
    around = np.lib.stride_tricks.sliding_window_view(np.pad(lines, 2, mode="edge"), 5)
    return np.asarray(np.median(around, axis=1))


def spectral_descriptors(framed: FrameAnalysis) -> Array:
    """Shape of the spectrum: (frames, 9).

    The columns are centroid, bandwidth and the frequency below which 85 % of the power lies, in Hz; flatness in dB, 0
    for white noise and lower for tones; flux, the distance of the spectrum's shape from that of the frame before, from
    0 to the square root of 2; alpha ratio, 1 to 5 kHz over 50 Hz to 1 kHz, and Hammarberg index, the highest peak below
    2 kHz over that from 2 to 5 kHz, in dB; slopes from 0 to 500 Hz and 500 to 1500 Hz, in dB per kHz.

    References
    ----------
    Eyben et al. (2016), The Geneva minimalistic acoustic parameter set, doi:10.1109/TAFFC.2015.2457417.
    """
    power = framed.power[1:] + np.float32(MIN_BIN_POWER)  # without the mean, which says nothing of a voice
    hz = np.fft.rfftfreq(framed.window, 1 / framed.rate)[1:].astype(np.float32)
    db = 10 * np.log10(power)
    share, below = power / power.sum(axis=0), np.cumsum(power, axis=0)
    centroid = hz @ share
    shape = [
        centroid,
        np.sqrt((share * np.square(hz[:, None] - centroid)).sum(axis=0)),
        hz[(below < 0.85 * below[-1]).sum(axis=0)],
        10 * (np.log10(power).mean(axis=0) - np.log10(power.mean(axis=0))),
        _spectral_flux(power),
        10 * np.log10(power[_band(hz, 1000, 5000)].sum(axis=0) / power[_band(hz, 50, 1000)].sum(axis=0)),
        db[_band(hz, 0, 2000)].max(axis=0) - db[_band(hz, 2000, 5000)].max(axis=0),
        *(linear_slope(db[_band(hz, *band)], hz[_band(hz, *band)] / 1000) for band in ((0, 500), (500, 1500))),
    ]
    return np.stack(shape, axis=1)


def _band(hz: Array, low: float, high: float) -> slice:
    """Say which bins lie from `low` to below `high`."""
    return slice(*np.searchsorted(hz, [low, high]))


def _spectral_flux(power: Array) -> Array:
    """Compute how far each spectrum, of length 1, is from the one before: (frames,), the first 0."""
    shape = np.sqrt(power / power.sum(axis=0))
    return np.linalg.norm(np.diff(shape, axis=1, prepend=shape[:, :1]), axis=0)


def linear_slope(values: Array, places: npt.NDArray[np.floating[Any]]) -> Array:
    """Compute the slope of a line fitted to (places, columns) values at (places,): (columns,)."""
    centred = places.astype(np.float64) - places.mean(dtype=np.float64)
    return np.asarray(centred @ values / max(centred @ centred, 1e-12))


FRAME_FEATURES: Mapping[str, Callable[[FrameAnalysis], Array]] = {
    "mfcc": mfcc,
    "mel": mel,
    "chroma": chroma,
    "rms": rms,
    "zcr": zcr,
    "pitch": pitch,
    "spectral": spectral_descriptors,
}
"""Name -> function from a framed signal to a (frames, features) array."""


def frame_features(signal: Array, settings: Features, *, rate: int) -> Array:
    """Measure the chosen features in every frame.

    Parameters
    ----------
    signal : (n_samples,) float32
    settings
        The section `features` of the settings.
    rate
        In Hz.

    Returns
    -------
    (frames, features) float32
        Columns in the order of ``settings.frames``; `ser.features.columns.feature_names` names them.
    """
    framed = FrameAnalysis(signal=signal, rate=rate, settings=settings)
    return np.concatenate([FRAME_FEATURES[name](framed) for name in settings.frames], axis=1).astype(np.float32)
