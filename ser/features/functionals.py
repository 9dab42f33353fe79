"""Functionals: (frames, features) -> one vector, which sums a clip up. Nothing here knows files or models."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ser.features import acoustic_classes
from ser.features.columns import Array, columns_of, feature_names
from ser.features.frame_features import linear_slope
from ser.params import Features

Numbers: TypeAlias = npt.NDArray[np.floating[Any]]

BANDS_PER_CONTOUR = 8
"""Neighbouring mel bands whose mean is one contour."""
MODULATION_BANDS_HZ = (0.3, 1.5, 3.0, 5.0, 8.0, 12.0, 20.0, 35.0)
"""Edges in Hz of the bands of modulation: phrases and words, syllables (3 to 5 Hz), sounds, roughness."""
MODULATION_FLOOR = 1e-4
"""Power that is added to that of each band of modulation, or the logarithm of none would be without bounds."""
MIN_FRAMES = 3
"""Frames of a part of a clip that are worth summing up."""
PRIOR_COUNT = 2
"""Frames like the clip's mean that each class of sounds has besides its own: of a rare one little is known."""


def _linear_trend(frames: Array) -> Array:
    """Compute how much a line fitted to a column rises from the first frame to the last: (features,)."""
    return linear_slope(frames, np.linspace(0, 1, len(frames)))


def _curvature(frames: Array) -> Array:
    """Compute how much lower the middle of a parabola fitted to a column is than its ends: (features,)."""
    # A parabola's bend does not depend on its rise: both are fitted alone.
    return linear_slope(frames, np.square(np.linspace(-1, 1, len(frames))))


def _mean_abs_delta(frames: Array) -> Array:
    """Compute the mean distance of neighbouring frames: (features,)."""
    return np.abs(np.diff(frames, axis=0)).sum(axis=0) / max(len(frames) - 1, 1)


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
    "mean_abs_delta": _mean_abs_delta,
}
"""Name -> function from a (frames, features) array to (features,)."""


class _Clip:
    """Frames of a clip, by what they are. What the settings do not measure has no columns."""

    def __init__(self, frames: Array, settings: Features) -> None:
        self.frames, self.settings, self._names = frames, settings, feature_names(settings)

    def of(self, kind: str) -> Array:
        """Take the columns of a kind."""
        return self.frames[:, columns_of(self._names, [kind])]

    def derivatives(self, order: int) -> Array:
        """Take the MFCC's derivatives of an order; order 0 are the MFCC themselves."""
        size = self.settings.mfcc.n_mfcc
        return self.of("mfcc")[:, order * size : (order + 1) * size]

    def bands(self, together: int) -> Array:
        """Take loudness by mel bands, the mean of some neighbours: (frames, bands)."""
        mel = self.of("mel")
        means = [mel[:, start : start + together].mean(axis=1) for start in range(0, mel.shape[1], together)]
        return np.column_stack(means) if means else mel

    def contours(self) -> Array:
        """Take loudness by mel bands, some `BANDS_PER_CONTOUR`, level and pitch: (frames, contours)."""
        return np.column_stack([self.bands(BANDS_PER_CONTOUR), self.of("rms"), self.of("pitch")[:, :1]])

    def voice(self) -> Array:
        """Take what a voice does in a frame, without how it changes and without which note it is: (frames, columns)."""
        others = [self.of(kind) for kind in ("rms", "zcr", "pitch", "spectral")]
        return np.column_stack([self.bands(2), self.derivatives(0), *others])

    def part(self, *, voiced: bool) -> Array:
        """Take the frames with a voice or those without, and all where there are hardly any of these."""
        chosen = (self.of("pitch")[:, 1:2] > 0.5).any(axis=1) == voiced
        return self.frames[chosen] if chosen.sum() >= MIN_FRAMES else self.frames


def _covariances(clip: _Clip) -> Numbers:
    """Compute how MFCC vary together: (pairs,)."""
    return _upper_triangle(_covariance(clip.derivatives(0)))


def _correlations(clip: _Clip) -> Numbers:
    """Compute how the first derivatives of MFCC move together, from -1 to 1: (pairs,)."""
    together = _covariance(clip.derivatives(1))
    spread = np.sqrt(np.diag(together)) + 1e-3  # what hardly moves is correlated with nothing
    return _upper_triangle(together / np.outer(spread, spread))


def _covariance(columns: Array) -> Numbers:
    centred = columns - columns.mean(axis=0, dtype=np.float64)
    return np.asarray(centred.T @ centred / len(columns))


def _upper_triangle(matrix: Numbers) -> Numbers:
    return matrix[np.triu_indices(len(matrix), 1)]


def _modulation_spectrum(clip: _Clip) -> Numbers:
    """Compute how strongly the contours go up and down in each band of `MODULATION_BANDS_HZ`: (bands * contours,).

    That is the logarithm of the mean power of the windowed contour's spectrum in the band.
    """
    contours = clip.contours()
    moving = (contours - contours.mean(axis=0)) * np.hanning(len(contours))[:, None]
    size = max(1024, len(contours))
    power = np.square(np.abs(np.fft.rfft(moving, size, axis=0))) / len(contours)
    edges = np.searchsorted(np.fft.rfftfreq(size, clip.settings.hop_seconds), MODULATION_BANDS_HZ)
    bands = [power[low : max(high, low + 1)].mean(axis=0) for low, high in itertools.pairwise(edges)]
    return np.log(np.stack(bands) + MODULATION_FLOOR).ravel()


def _acoustic_classes(clip: _Clip) -> Numbers:
    """Compute how far the voice is from its mean in each class of sounds, and how frequent these are: (numbers,).

    The mean itself, which tells voices apart, is among the other functionals.
    """
    cepstra = clip.derivatives(0)[:, 1:]
    if not cepstra.size:
        return np.empty(0)
    shares, voice = acoustic_classes.posteriors(cepstra), clip.voice()
    counts = shares.sum(axis=0)
    away = shares.T @ (voice - voice.mean(axis=0)) / (counts[:, None] + PRIOR_COUNT)
    return np.concatenate([away.ravel(), counts / len(voice)])


VOICED_FUNCTIONALS: Mapping[str, tuple[bool, str]] = {
    "voiced_mean": (True, "mean"),
    "voiced_std": (True, "std"),
    "unvoiced_mean": (False, "mean"),
    "unvoiced_std": (False, "std"),
}
"""Name -> which part of a clip, with a voice or without, and which of `COLUMN_FUNCTIONALS` is computed of it."""
CLIP_FUNCTIONALS: Mapping[str, Callable[[_Clip], Numbers]] = {
    "covariance": _covariances,
    "correlation": _correlations,
    "modulation_spectrum": _modulation_spectrum,
    "acoustic_classes": _acoustic_classes,
}
"""Name -> function from a clip to as many numbers as there are: none where the settings lack the features for it."""


def _compute(name: str, clip: _Clip) -> Numbers:
    """Compute one functional, which may be many numbers; of parts there are none without pitch, which tells them."""
    if name in COLUMN_FUNCTIONALS:
        return COLUMN_FUNCTIONALS[name](clip.frames)
    if name in CLIP_FUNCTIONALS:
        return CLIP_FUNCTIONALS[name](clip)
    voiced, of = VOICED_FUNCTIONALS[name]
    return COLUMN_FUNCTIONALS[of](clip.part(voiced=voiced)) if clip.of("pitch").size else np.empty(0)


def functionals(frames: Array, settings: Features) -> Array:
    """Sum up the frames of a clip in one vector.

    Parameters
    ----------
    frames : (frames, features) float32
        As `ser.features.frame_features` makes them by the same settings.
    settings
        The section `features` of the settings, of which ``functionals`` are the names.

    Returns
    -------
    (functionals,) float32
        All features' first functional, then all features' second, and so on; `functional_names` names them.
    """
    clip = _Clip(frames, settings)
    return np.concatenate([_compute(name, clip) for name in settings.functionals]).astype(np.float32)


def functional_names(settings: Features) -> list[str]:
    """Name what `functionals` gives, such as ``mel.0.mean``, ``mel.0.voiced_mean`` or ``covariance.17``."""
    features = feature_names(settings)
    clip = _Clip(np.zeros((1, len(features)), np.float32), settings)
    names = []
    for name in settings.functionals:
        size = len(_compute(name, clip))
        names += [f"{name}.{n}" if name in CLIP_FUNCTIONALS else f"{features[n]}.{name}" for n in range(size)]
    return names
