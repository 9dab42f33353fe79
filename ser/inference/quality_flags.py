"""Compute flags: machine-readable warnings about a recording and its prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ser.audio.clean import AudioStats
from ser.audio.types import Waveform
from ser.features.columns import Array
from ser.features.pitch import voiced_fraction
from ser.params import Features

Vectors = npt.NDArray[np.floating[Any]]

FLAGS = {
    "silence": "the recording is silent; there is no prediction",
    "too_short": "the recording is too short; there is no prediction",
    "no_speech": "no speech was detected; there is no prediction",
    "out_of_distribution": "the recording is unlike the training data; the confidence is lowered, perhaps not enough",
    "short": "the recording is shorter than the clips that models are evaluated on",
    "quiet": "the recording is very quiet, so noise is amplified",
    "clipped": "the recording is clipped",
    "header_repaired": "the header declares a wrong length; all audio in the file was read",
    "opposite_phase": "the channels cancel each other; the phase of one was inverted",
    "truncated": "only the beginning of the recording was used",
    "segmented": "the prediction combines those of several segments of the recording",
    "synthetic": "the model was trained on synthetic speech only; its predictions say nothing about human speech",
}
"""Meaning of each flag."""

NO_PREDICTION_FLAGS = ("silence", "too_short", "no_speech")
"""Flags of recordings without a prediction."""

SHORT_SECONDS = 0.5
QUIET_DBFS = -40.0
"""Recordings with a lower peak are quiet."""
MAX_CLIPPED_FRACTION = 0.001
"""A recording is clipped if a larger fraction of its samples reaches `ser.audio.clean.CLIPPING_LEVEL`."""
MIN_VOICED_FRACTION = 0.02
"""Clips with a smaller fraction of voiced frames are no speech."""
MAX_Z = 10.0
"""Upper limit of standardized deviations, so that a single outlying input does not dominate the distance."""


class TrainingStatistics(NamedTuple):
    """Distribution of the training clips, for the flag ``out_of_distribution``; see `distances`.

    Attributes
    ----------
    mean, std : ndarray of shape (n_features,)
        Of the vectors of `clip_vectors`.
    whitening : ndarray of shape (n_features, n_features), or (n_features, 0)
        Matrix that makes z-scores uncorrelated. Without columns, only the first distance is used.
    limits : ndarray of shape (2,) or (1,)
        Distances beyond which a clip is out of distribution.
    """

    mean: Vectors
    std: Vectors
    whitening: Vectors
    limits: Vectors

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file of float32."""
        np.savez(path, **{name: values.astype(np.float32) for name, values in self._asdict().items()})

    @classmethod
    def load(cls, path: Path) -> "TrainingStatistics":
        """Read a file of `save`."""
        with np.load(path) as arrays:
            return cls(*(arrays[name].astype(np.float64) for name in cls._fields))

    def scores(self, vectors: Vectors) -> Vectors:
        """Compute (n_clips,) out-of-distribution scores: the largest ratio of a distance to its limit."""
        ratios = distances(vectors, mean=self.mean, std=self.std, whitening=self.whitening) / self.limits
        return ratios.max(axis=1)


def level_flags(stats: AudioStats) -> tuple[str, ...]:
    """Return ``quiet`` and ``clipped`` where they apply to a recording, and the flags of its decoding."""
    clipped = stats.n_clipped > max(MAX_CLIPPED_FRACTION * stats.seconds * stats.sample_rate, 2)
    return (*stats.flags, *(("quiet",) if stats.peak_db < QUIET_DBFS else ()), *(("clipped",) if clipped else ()))


def has_voice(clip: Waveform, settings: Features, *, rate: int) -> bool:
    """Check whether enough frames of a clip are voiced for speech."""
    hop_length = round(settings.hop_seconds * rate)
    return voiced_fraction(clip, sr=rate, hop_length=hop_length) > MIN_VOICED_FRACTION


def length_flags(seconds: float, *, max_seconds: float | None) -> tuple[str, ...]:
    """Return ``short`` or ``truncated`` for a clip; a model uses the first `max_seconds` of it, or all of it (None)."""
    if seconds < SHORT_SECONDS:
        return ("short",)
    return ("truncated",) if max_seconds is not None and seconds >= max_seconds else ()


def clip_vectors(inputs: Sequence[Array]) -> Vectors:
    """Summarize model inputs by one vector per clip: the mean and standard deviation over frames, or the functionals.

    Parameters
    ----------
    inputs : sequence of ndarray of shape (n_frames, n_features) or (n_functionals,)

    Returns
    -------
    ndarray of shape (n_clips, 2 * n_features) or (n_clips, n_functionals)
    """
    frames = (clip.astype(np.float64) for clip in inputs)
    return np.stack([np.r_[clip.mean(axis=0), clip.std(axis=0)] if clip.ndim == 2 else clip for clip in frames])


def distances(vectors: Vectors, *, mean: Vectors, std: Vectors, whitening: Vectors) -> Vectors:
    """Compute two distances of clips from training data.

    The first one is the root mean square of their z-scores, each at most `MAX_Z`: it is large if many features deviate,
    as in mixtures of speakers. The second one, the Mahalanobis distance, is that of the whitened z-scores: it is large
    for combinations of features that do not occur in training, as in other corpora and in synthetic speech.

    Parameters
    ----------
    vectors : ndarray of shape (n_clips, n_features)
    mean, std : ndarray of shape (n_features,)
    whitening : ndarray of shape (n_features, n_features) or (n_features, 0)

    Returns
    -------
    ndarray of shape (n_clips, 2), or (n_clips, 1) without whitening

    References
    ----------
    Lee et al. (2018), A simple unified framework for detecting out-of-distribution samples and adversarial attacks.
    """
    z = (vectors - mean) / std
    values = [np.clip(z, -MAX_Z, MAX_Z), *([z @ whitening] if whitening.size else [])]
    return np.stack([np.sqrt(np.square(value).mean(axis=1)) for value in values], axis=1)


def majority_flags(flags: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the flags that more than half of the segments of a recording have."""
    return tuple(flag for flag in FLAGS if 2 * sum(flag in segment for segment in flags) > len(flags))
