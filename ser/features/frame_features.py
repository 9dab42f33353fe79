"""Compute frame features of a signal: (n_samples,) -> (n_frames, n_features).

All features use centred frames, so that each has ``1 + n_samples // hop_length`` of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import librosa  # whose functions are loaded on first use
import numpy as np

from ser.features.columns import Array, Floats
from ser.features.pitch import pitch_contour
from ser.params import Features

MIN_POWER = 1e-8
"""Lower limit of the power of a mel band or frame: -80 dB of full scale."""
MIN_BIN_POWER = 1e-10
"""Lower limit of the power of a bin of the spectrum; silence has the descriptors of white noise at this level."""


@dataclass(frozen=True)
class FrameAnalysis:
    """A signal and the spectra that several features share, computed once."""

    signal: Array
    rate: int
    settings: Features

    @property
    def n_fft(self) -> int:
        """Length of a frame in samples; even, so that frames are centred."""
        return 2 * round(self.settings.window_seconds * self.rate / 2)

    @property
    def hop_length(self) -> int:
        """Distance between frames in samples."""
        return round(self.settings.hop_seconds * self.rate)

    @cached_property
    def power(self) -> Array:
        """Power spectrogram of shape (1 + n_fft // 2, n_frames); a sine at full scale reaches 0.25."""
        window = librosa.filters.get_window("hann", self.n_fft)
        frame = {"n_fft": self.n_fft, "hop_length": self.hop_length, "window": window / window.sum()}
        return np.square(np.abs(librosa.stft(self.signal, **frame, pad_mode="constant")))

    @cached_property
    def log_mel(self) -> Array:
        """Log-mel spectrogram in dB, of shape (n_mels, n_frames)."""
        mel = self.settings.mel
        bands = {"n_mels": mel.n_mels, "fmin": mel.fmin}
        # A band is the sum of its bins (norm=None), so that levels stay relative to full scale.
        power = librosa.feature.melspectrogram(S=self.power, sr=self.rate, **bands, norm=None)
        return librosa.power_to_db(power, amin=MIN_POWER, top_db=None)


def mel(analysis: FrameAnalysis) -> Array:
    """Compute the log-mel spectrogram: (n_frames, n_mels) in dB, at least -80."""
    return analysis.log_mel.T


def mfcc(analysis: FrameAnalysis) -> Array:
    """Compute MFCC and their derivatives: (n_frames, n_mfcc * (1 + delta_order)).

    Derivatives are slopes over nine frames (Savitzky-Golay), librosa's default.

    References
    ----------
    Davis & Mermelstein (1980), doi:10.1109/TASSP.1980.1163420.
    """
    settings = analysis.settings.mfcc
    static = librosa.feature.mfcc(S=analysis.log_mel, n_mfcc=settings.n_mfcc)
    deltas = [librosa.feature.delta(static, order=n, mode="nearest") for n in range(1, settings.delta_order + 1)]
    return np.concatenate([static, *deltas]).T


def chroma(analysis: FrameAnalysis) -> Array:
    """Compute the energy per pitch class: (n_frames, n_chroma), scaled to a maximum of 1 per frame."""
    n_chroma = analysis.settings.chroma.n_chroma
    return librosa.feature.chroma_stft(S=analysis.power, sr=analysis.rate, n_chroma=n_chroma, tuning=0).T


def rms(analysis: FrameAnalysis) -> Array:
    """Compute the root-mean-square level: (n_frames, 1) in dBFS, at least -80."""
    frame = {"frame_length": analysis.n_fft, "hop_length": analysis.hop_length}
    power = np.square(librosa.feature.rms(y=analysis.signal, **frame))
    return librosa.power_to_db(power, amin=MIN_POWER, top_db=None).T


def zcr(analysis: FrameAnalysis) -> Array:
    """Compute the zero-crossing rate: (n_frames, 1), the fraction of adjacent samples that differ in sign."""
    frame = {"frame_length": analysis.n_fft, "hop_length": analysis.hop_length}
    return librosa.feature.zero_crossing_rate(analysis.signal, **frame).T


def pitch(analysis: FrameAnalysis) -> Array:
    """Compute pitch, voicing and harmonics-to-noise ratio by `pitch_contour`: (n_frames, 3)."""
    return pitch_contour(analysis.signal, sr=analysis.rate, hop_length=analysis.hop_length)


def spectral_descriptors(analysis: FrameAnalysis) -> Array:
    """Compute descriptors of the shape of the spectrum: (n_frames, 9).

    The columns are centroid, bandwidth and 85 % roll-off in Hz; flatness in dB; flux (the distance between adjacent
    spectra of unit norm, from 0 to the square root of 2); alpha ratio (1-5 kHz over 50 Hz-1 kHz) and Hammarberg index
    (peak of 0-2 kHz over peak of 2-5 kHz) in dB; slopes of 0-500 Hz and 500-1500 Hz in dB per kHz.

    References
    ----------
    Eyben et al. (2016), The Geneva minimalistic acoustic parameter set, doi:10.1109/TAFFC.2015.2457417.
    """
    power = analysis.power[1:] + np.float32(MIN_BIN_POWER)  # without the offset (0 Hz)
    hz = librosa.fft_frequencies(sr=analysis.rate, n_fft=analysis.n_fft)[1:]
    db = librosa.power_to_db(power, amin=MIN_BIN_POWER, top_db=None)
    flatness = librosa.feature.spectral_flatness(S=power, power=1.0, amin=MIN_BIN_POWER)
    centroid = librosa.feature.spectral_centroid(S=power, freq=hz)
    spectra = np.sqrt(power / power.sum(axis=0))  # of unit norm
    descriptors = [
        centroid[0],
        librosa.feature.spectral_bandwidth(S=power, freq=hz, centroid=centroid)[0],
        librosa.feature.spectral_rolloff(S=power, freq=hz, roll_percent=0.85)[0],
        librosa.power_to_db(flatness, amin=MIN_BIN_POWER, top_db=None)[0],
        np.linalg.norm(np.diff(spectra, axis=1, prepend=spectra[:, :1]), axis=0),
        10 * np.log10(power[_band(hz, 1000, 5000)].sum(axis=0) / power[_band(hz, 50, 1000)].sum(axis=0)),
        db[_band(hz, 0, 2000)].max(axis=0) - db[_band(hz, 2000, 5000)].max(axis=0),
        *(linear_slope(db[_band(hz, *band)], hz[_band(hz, *band)] / 1000) for band in ((0, 500), (500, 1500))),
    ]
    return np.stack(descriptors, axis=1)


def _band(hz: Array, low: float, high: float) -> slice:
    return slice(*np.searchsorted(hz, [low, high]))


def linear_slope(values: Array, x: Floats) -> Array:
    """Compute the slope of a line fitted to each column of (n, n_columns) values at `x` of shape (n,): (n_columns,)."""
    centred = x.astype(np.float64) - x.mean(dtype=np.float64)
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
"""Name -> function that returns an array of shape (n_frames, n_features)."""


def frame_features(signal: Array, settings: Features, *, rate: int) -> Array:
    """Compute the selected features of every frame.

    Parameters
    ----------
    signal : ndarray of shape (n_samples,), float32
        Mono signal.
    settings : Features
        Section `features` of the parameters.
    rate : int
        Sample rate in Hz.

    Returns
    -------
    ndarray of shape (n_frames, n_features), float32
        Columns in the order of ``settings.frame_features``, named by `ser.features.columns.feature_names`.
    """
    analysis = FrameAnalysis(signal=signal, rate=rate, settings=settings)
    features = [FRAME_FEATURES[name](analysis) for name in settings.frame_features]
    return np.concatenate(features, axis=1).astype(np.float32)
