"""Frame features: (n_samples,) -> (frames, features).

All frame features are computed from one short-time Fourier transform, centred, so that they have the same
number of frames: ``1 + n_samples // hop_length``. Nothing here knows files or models.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import librosa  # whose functions are loaded on first use
import numpy as np
import numpy.typing as npt

from ser.features.columns import Array
from ser.features.pitch import pitch_contour
from ser.params import Features

MIN_POWER = 1e-8
"""Power below which a band counts as silent: -80 dB of full scale."""

MIN_BIN_POWER = 1e-10
"""Power below which a single bin of the spectrum counts as silent: a silent frame is white noise of this level."""


@dataclass(frozen=True)
class FrameAnalysis:
    """A signal and what several features need of it, computed once."""

    signal: Array
    rate: int
    settings: Features

    @property
    def n_fft(self) -> int:
        """Length of a frame in samples; even, so that frames lie centred."""
        return 2 * round(self.settings.window_seconds * self.rate / 2)

    @property
    def hop_length(self) -> int:
        """Distance of frames in samples."""
        return round(self.settings.hop_seconds * self.rate)

    @cached_property
    def power(self) -> Array:
        """Power spectrogram, (1 + n_fft // 2, frames), a sine of full scale reaching 0.25."""
        window = librosa.filters.get_window("hann", self.n_fft)
        frame = {"n_fft": self.n_fft, "hop_length": self.hop_length, "window": window / window.sum()}
        return np.square(np.abs(librosa.stft(self.signal, **frame, pad_mode="constant")))

    @cached_property
    def log_mel(self) -> Array:
        """Log-mel spectrogram in dB, (bands, frames)."""
        mel = self.settings.mel
        bands = {"n_mels": mel.n_mels, "fmin": mel.fmin}
        # A band holds the power of its bins, so that dB of full scale keep their meaning: norm=None.
        power = librosa.feature.melspectrogram(S=self.power, sr=self.rate, **bands, norm=None)
        return librosa.power_to_db(power, amin=MIN_POWER, top_db=None)


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
    static = librosa.feature.mfcc(S=framed.log_mel, n_mfcc=settings.n_mfcc)
    orders = [librosa.feature.delta(static, order=n, mode="nearest") for n in range(1, settings.delta_order + 1)]
    return np.concatenate([static, *orders]).T


def chroma(framed: FrameAnalysis) -> Array:
    """Energy by pitch class: (frames, bins), the strongest of each frame being 1."""
    bins = framed.settings.chroma.n_chroma
    return librosa.feature.chroma_stft(S=framed.power, sr=framed.rate, n_chroma=bins, tuning=0).T


def rms(framed: FrameAnalysis) -> Array:
    """Root-mean-square level: (frames, 1) in dB of full scale, floored at -80."""
    frame = {"frame_length": framed.n_fft, "hop_length": framed.hop_length}
    power = np.square(librosa.feature.rms(y=framed.signal, **frame))
    return librosa.power_to_db(power, amin=MIN_POWER, top_db=None).T


def zcr(framed: FrameAnalysis) -> Array:
    """Zero-crossing rate: (frames, 1), the share of neighbouring samples that differ in sign."""
    frame = {"frame_length": framed.n_fft, "hop_length": framed.hop_length}
    return librosa.feature.zero_crossing_rate(framed.signal, **frame).T


def pitch(framed: FrameAnalysis) -> Array:
    """Pitch, voicing and harmonics-to-noise ratio, see `ser.features.pitch.pitch_contour`: (frames, 3)."""
    return pitch_contour(framed.signal, sr=framed.rate, hop_length=framed.hop_length)


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
    hz = librosa.fft_frequencies(sr=framed.rate, n_fft=framed.n_fft)[1:]
    db = librosa.power_to_db(power, amin=MIN_BIN_POWER, top_db=None)
    flatness = librosa.feature.spectral_flatness(S=power, power=1.0, amin=MIN_BIN_POWER)
    centroid = librosa.feature.spectral_centroid(S=power, freq=hz)
    shape = [
        centroid[0],
        librosa.feature.spectral_bandwidth(S=power, freq=hz, centroid=centroid)[0],
        librosa.feature.spectral_rolloff(S=power, freq=hz, roll_percent=0.85)[0],
        librosa.power_to_db(flatness, amin=MIN_BIN_POWER, top_db=None)[0],
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
        Columns in the order of ``settings.frame_features``; `ser.features.columns.feature_names` names them.
    """
    framed = FrameAnalysis(signal=signal, rate=rate, settings=settings)
    return np.concatenate([FRAME_FEATURES[name](framed) for name in settings.frame_features], axis=1).astype(np.float32)
