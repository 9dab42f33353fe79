"""Compute functionals, which summarize the frames of a clip: (n_frames, n_features) -> (n_functionals,)."""

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from ser.features import acoustic_classes
from ser.features.columns import Array, Floats, columns_of, feature_names
from ser.features.frame_features import linear_slope
from ser.params import Features

BANDS_PER_CONTOUR = 8
"""Adjacent mel bands averaged to one contour."""
MODULATION_BANDS_HZ = (0.3, 1.5, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0)
"""Edges of the modulation bands in Hz: phrases and words, syllables (3 to 5 Hz), phones, roughness."""
MODULATION_FLOOR = 1e-4
"""Added to the power of each modulation band before the logarithm."""
MIN_FRAMES = 3
"""Minimum number of voiced (or unvoiced) frames to compute functionals of these alone."""
PRIOR_COUNT = 2
"""Frames at the clip's mean added to each acoustic class, so that rare classes deviate little."""


def _linear_trend(frames: Array) -> Array:
    """Compute the rise of a fitted line from the first frame to the last: (n_features,)."""
    return linear_slope(frames, np.linspace(0, 1, len(frames)))


def _curvature(frames: Array) -> Array:
    """Compute the height of the ends of a fitted parabola above its middle: (n_features,)."""
    # Independent of the linear term, so that each can be fitted alone.
    return linear_slope(frames, np.square(np.linspace(-1, 1, len(frames))))


COLUMN_FUNCTIONALS: Mapping[str, Callable[[Array], Array]] = {
    "mean": lambda frames: frames.mean(axis=0),
    "std": lambda frames: frames.std(axis=0),
    "min": lambda frames: frames.min(axis=0),
    "percentile10": lambda frames: np.percentile(frames, 10, axis=0),
    "percentile25": lambda frames: np.percentile(frames, 25, axis=0),
    "median": lambda frames: np.median(frames, axis=0),
    "percentile75": lambda frames: np.percentile(frames, 75, axis=0),
    "percentile90": lambda frames: np.percentile(frames, 90, axis=0),
    "max": lambda frames: frames.max(axis=0),
    "slope": _linear_trend,
    "curvature": _curvature,
    "mean_abs_delta": lambda frames: np.abs(np.diff(frames, axis=0)).sum(axis=0) / max(len(frames) - 1, 1),
}
"""Name -> function from an array of shape (n_frames, n_features) to (n_features,)."""


class _Clip:
    """Access the frames of a clip by feature. Features that are not in the settings have no columns."""

    def __init__(self, frames: Array, settings: Features) -> None:
        self.frames, self.settings, self._names = frames, settings, feature_names(settings)

    def select(self, feature: str) -> Array:
        return self.frames[:, columns_of(self._names, [feature])]

    def mfcc(self, *, order: int) -> Array:
        """Select the MFCC (order 0) or their derivatives of an order."""
        size = self.settings.mfcc.n_mfcc
        return self.select("mfcc")[:, order * size : (order + 1) * size]

    def mel_bands(self, width: int) -> Array:
        """Average groups of `width` adjacent mel bands: (n_frames, n_groups)."""
        mel = self.select("mel")
        means = [mel[:, start : start + width].mean(axis=1) for start in range(0, mel.shape[1], width)]
        return np.column_stack(means) if means else mel

    def voiced_frames(self, *, voiced: bool) -> Array:
        """Select the voiced or the unvoiced frames; all frames if these are fewer than `MIN_FRAMES`."""
        mask = (self.select("pitch")[:, 1:2] > 0.5).any(axis=1) == voiced
        return self.frames[mask] if mask.sum() >= MIN_FRAMES else self.frames


def _pairs(columns: Array, *, correlation: bool) -> Floats:
    """Compute the covariance or correlation of each pair of columns: (n_pairs,)."""
    centred = columns - columns.mean(axis=0, dtype=np.float64)
    matrix = centred.T @ centred / len(columns)
    if correlation:
        std = np.sqrt(np.diag(matrix)) + 1e-3  # a constant column has a correlation of 0
        matrix = matrix / np.outer(std, std)
    return np.asarray(matrix[np.triu_indices(len(matrix), 1)])


def _modulation_spectrum(clip: _Clip) -> Floats:
    """Compute the log mean power of each contour in each of `MODULATION_BANDS_HZ`: (n_bands * n_contours,).

    The contours are groups of mel bands, level and pitch.
    """
    contours = np.column_stack([clip.mel_bands(BANDS_PER_CONTOUR), clip.select("rms"), clip.select("pitch")[:, :1]])
    windowed = (contours - contours.mean(axis=0)) * np.hanning(len(contours))[:, None]
    n_fft = max(1024, len(contours))
    power = np.square(np.abs(np.fft.rfft(windowed, n_fft, axis=0))) / len(contours)
    edges = np.searchsorted(np.fft.rfftfreq(n_fft, clip.settings.hop_seconds), MODULATION_BANDS_HZ)
    bands = [power[low : max(high, low + 1)].mean(axis=0) for low, high in itertools.pairwise(edges)]
    return np.log(np.stack(bands) + MODULATION_FLOOR).ravel()


def _acoustic_classes(clip: _Clip) -> Floats:
    """Compute the mean deviation from the clip's mean in each acoustic class, followed by the class frequencies.

    Frames are weighted by the posterior of the class. The clip's mean, which depends most on the speaker, is excluded.
    """
    mfcc = clip.mfcc(order=0)[:, 1:]
    if not mfcc.size:
        return np.empty(0)
    others = [clip.select(feature) for feature in ("rms", "zcr", "pitch", "spectral")]
    descriptors = np.column_stack([clip.mel_bands(2), clip.mfcc(order=0), *others])
    posteriors = acoustic_classes.posteriors(mfcc)
    counts = posteriors.sum(axis=0)
    deviations = posteriors.T @ (descriptors - descriptors.mean(axis=0)) / (counts[:, None] + PRIOR_COUNT)
    return np.concatenate([deviations.ravel(), counts / len(descriptors)])


VOICED_FUNCTIONALS = ("voiced_mean", "voiced_std", "unvoiced_mean", "unvoiced_std")
"""Functionals of voiced or unvoiced frames only; the second part is a name in `COLUMN_FUNCTIONALS`."""
CLIP_FUNCTIONALS: Mapping[str, Callable[[_Clip], Floats]] = {
    "covariance": lambda clip: _pairs(clip.mfcc(order=0), correlation=False),
    "correlation": lambda clip: _pairs(clip.mfcc(order=1), correlation=True),  # of first derivatives
    "modulation_spectrum": _modulation_spectrum,
    "acoustic_classes": _acoustic_classes,
}
"""Name -> function that returns a vector, which is empty if the settings lack the features for it."""


def _compute(name: str, clip: _Clip) -> Floats:
    if name in COLUMN_FUNCTIONALS:
        return COLUMN_FUNCTIONALS[name](clip.frames)
    if name in CLIP_FUNCTIONALS:
        return CLIP_FUNCTIONALS[name](clip)
    if not clip.select("pitch").size:
        return np.empty(0)
    voicing, column_functional = name.split("_")
    return COLUMN_FUNCTIONALS[column_functional](clip.voiced_frames(voiced=voicing == "voiced"))


def functionals(frames: Array, settings: Features) -> Array:
    """Summarize the frames of a clip in one vector.

    Parameters
    ----------
    frames : ndarray of shape (n_frames, n_features), float32
        Output of `ser.features.frame_features` for the same settings.
    settings : Features
        Section `features` of the parameters; ``functionals`` selects the functionals.

    Returns
    -------
    ndarray of shape (n_functionals,), float32
        The first functional of all features, then the second, and so on; named by `functional_names`.
    """
    clip = _Clip(frames, settings)
    return np.concatenate([_compute(name, clip) for name in settings.functionals]).astype(np.float32)


def functional_names(settings: Features) -> list[str]:
    """List the names of `functionals`, such as ``mel.0.mean``, ``mel.0.voiced_mean`` or ``covariance.17``."""
    features = feature_names(settings)
    clip = _Clip(np.zeros((1, len(features)), np.float32), settings)
    names = []
    for name in settings.functionals:
        size = len(_compute(name, clip))
        names += [f"{name}.{n}" if name in CLIP_FUNCTIONALS else f"{features[n]}.{name}" for n in range(size)]
    return names
