"""Compute flags: machine-readable warnings about a recording and its prediction."""

from collections.abc import Sequence
from typing import Any

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
    "opposite_phase": "the channels cancel each other; only one of them was used",
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
OOD_MARGIN = 1.25
"""Clips are out of distribution if their distance exceeds the largest one of the validation clips by this factor."""
MAX_Z = 10.0
"""Upper limit of standardized deviations, so that a single outlying input does not dominate the distance."""


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
    """Summarize model inputs by one vector per clip: the mean over frames, or the functionals.

    Parameters
    ----------
    inputs : sequence of ndarray of shape (n_frames, n_features) or (n_functionals,)

    Returns
    -------
    ndarray of shape (n_clips, n_features) or (n_clips, n_functionals)
    """
    return np.stack([clip.mean(axis=0, dtype=np.float64) if clip.ndim == 2 else clip for clip in inputs])


def normalized_distance(vectors: Vectors, *, mean: npt.ArrayLike, std: npt.ArrayLike) -> Vectors:
    """Compute the distance of clips from training data: the root mean square of their z-scores, each at most `MAX_Z`.

    Parameters
    ----------
    vectors : ndarray of shape (n_clips, n_features)
    mean, std : array-like of shape (n_features,)

    Returns
    -------
    ndarray of shape (n_clips,)
    """
    z = np.abs((vectors - np.asarray(mean)) / np.asarray(std))
    return np.sqrt(np.square(np.minimum(z, MAX_Z)).mean(axis=1))


def majority_flags(flags: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the flags that more than half of the segments of a recording have."""
    return tuple(flag for flag in FLAGS if 2 * sum(flag in segment for segment in flags) > len(flags))
