"""Frame features and their functionals: (n_samples,) -> (frames, features) -> one vector a clip.

All frame features are computed from one short-time Fourier transform, centred, so that they have the same
number of frames: ``1 + n_samples // hop``. Nothing here knows files or models.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from scipy.signal import get_window

from ser.params import Features

Array = npt.NDArray[np.float32]

FLOOR = 1e-8
"""Power below which a band counts as silent: -80 dB of full scale."""


@dataclass(frozen=True)
class Framed:
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
        import librosa

        window = get_window("hann", self.window)
        spectrum = librosa.stft(
            self.signal, n_fft=self.window, hop_length=self.hop, window=window / window.sum(), pad_mode="constant"
        )
        return np.square(np.abs(spectrum)).astype(np.float32)

    @cached_property
    def log_mel(self) -> Array:
        """Log-mel spectrogram in dB, (bands, frames)."""
        mel = self.settings.mel
        bank = _mel_bank(rate=self.rate, window=self.window, bands=mel.bands, low_hz=mel.low_hz)
        return (10 * np.log10(np.maximum(bank @ self.power, FLOOR))).astype(np.float32)


@lru_cache
def _mel_bank(*, rate: int, window: int, bands: int, low_hz: float) -> Array:
    from librosa.filters import mel

    # norm=None: a band then holds the power of its bins, so that dB of full scale keep their meaning.
    return mel(sr=rate, n_fft=window, n_mels=bands, fmin=low_hz, norm=None)


def mel(framed: Framed) -> Array:
    """Log-mel spectrogram: (frames, bands) in dB, floored at -80."""
    return framed.log_mel.T


def mfcc(framed: Framed) -> Array:
    """Mel-frequency cepstral coefficients and their derivatives: (frames, coefficients * (1 + deltas)).

    Derivatives are slopes of a line fitted to nine frames (Savitzky-Golay), as librosa's default.

    References
    ----------
    Davis & Mermelstein (1980), doi:10.1109/TASSP.1980.1163420.
    """
    import librosa

    settings = framed.settings.mfcc
    static = librosa.feature.mfcc(S=framed.log_mel, n_mfcc=settings.coefficients)
    orders = [librosa.feature.delta(static, order=n, mode="nearest") for n in range(1, settings.deltas + 1)]
    return np.concatenate([static, *orders]).T


def chroma(framed: Framed) -> Array:
    """Energy by pitch class: (frames, bins), the strongest of each frame being 1."""
    import librosa

    # Tuning is a notion of instruments; estimating it takes longer than all the rest of a clip.
    bins = framed.settings.chroma.bins
    classes = librosa.feature.chroma_stft(S=framed.power, sr=framed.rate, n_fft=framed.window, n_chroma=bins, tuning=0)
    return classes.T


def rms(framed: Framed) -> Array:
    """Root-mean-square level: (frames, 1) in dB of full scale, floored at -80."""
    import librosa

    level = librosa.feature.rms(y=framed.signal, frame_length=framed.window, hop_length=framed.hop)
    return 10 * np.log10(np.maximum(np.square(level.T), FLOOR))


def zcr(framed: Framed) -> Array:
    """Zero-crossing rate: (frames, 1), the share of neighbouring samples that differ in sign."""
    import librosa

    rates = librosa.feature.zero_crossing_rate(framed.signal, frame_length=framed.window, hop_length=framed.hop)
    return rates.T


FRAME_FEATURES: Mapping[str, Callable[[Framed], Array]] = {
    "mfcc": mfcc,
    "mel": mel,
    "chroma": chroma,
    "rms": rms,
    "zcr": zcr,
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
        Columns in the order of ``settings.frames``; `feature_names` names them.
    """
    framed = Framed(signal=signal, rate=rate, settings=settings)
    return np.concatenate([FRAME_FEATURES[name](framed) for name in settings.frames], axis=1).astype(np.float32)


def feature_names(settings: Features) -> list[str]:
    """Name the columns of `frame_features`, such as ``mel.0`` or ``rms.0``."""
    widths = {
        "mfcc": settings.mfcc.coefficients * (1 + settings.mfcc.deltas),
        "mel": settings.mel.bands,
        "chroma": settings.chroma.bins,
        "rms": 1,
        "zcr": 1,
    }
    return [f"{name}.{column}" for name in settings.frames for column in range(widths[name])]


FUNCTIONALS: Mapping[str, Callable[[Array], Array]] = {
    "mean": lambda frames: frames.mean(axis=0),
    "std": lambda frames: frames.std(axis=0),
    "min": lambda frames: frames.min(axis=0),
    "p10": lambda frames: np.percentile(frames, 10, axis=0),
    "p25": lambda frames: np.percentile(frames, 25, axis=0),
    "median": lambda frames: np.median(frames, axis=0),
    "p75": lambda frames: np.percentile(frames, 75, axis=0),
    "p90": lambda frames: np.percentile(frames, 90, axis=0),
    "max": lambda frames: frames.max(axis=0),
}
"""Name -> function from a (frames, features) array to (features,)."""


def functionals(frames: Array, names: Sequence[str]) -> Array:
    """Sum up frames in one vector.

    Parameters
    ----------
    frames : (frames, features) float32
    names
        Of `FUNCTIONALS`.

    Returns
    -------
    (len(names) * features,) float32
        All features' first functional, then all features' second, and so on.
    """
    return np.concatenate([FUNCTIONALS[name](frames) for name in names]).astype(np.float32)
