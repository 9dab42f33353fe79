"""What speaks against an answer, in words that programs can read: the flags."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.audio.effects import peak_dbfs
from ser.audio.types import Waveform
from ser.features.columns import Array
from ser.features.pitch import voiced_fraction
from ser.params import Features

Vectors = npt.NDArray[np.floating[Any]]

FLAGS = {
    "silence": "nothing is to be heard, and nothing was judged",
    "too_short": "there is too little to judge",
    "no_speech": "hardly anything sounds like a voice, and nothing was judged",
    "unlike_training": "it sounds unlike anything in training; its confidence was lowered, and may still be too high",
    "short": "it is shorter than the clips that models are tested on",
    "quiet": "the recording is very quiet, so that noise is loud in it",
    "clipped": "the recording is overdriven",
    "cut": "only its beginning was judged",
    "long": "the answer is the mean over pieces of it",
    "synthetic": "the model heard synthetic voices only, as in the demo, and knows nothing about people",
}
"""Flag -> what it means."""

NO_PREDICTION_FLAGS = ("silence", "too_short", "no_speech")
"""Flags of what is not answered."""

SHORT_SECONDS = 0.5
QUIET_DB = -40.0
"""Peaks (dBFS) below this are of somebody far from the microphone."""
FULL_SCALE, CLIPPED = 0.985, 0.001
"""Where more than this share of samples is at full scale, peaks were cut off."""
MIN_VOICED_FRACTION = 0.02
"""Speech has more voiced frames than this share of all."""
OOD_MARGIN = 1.25
"""How many times farther from the mean of training than any validation clip is far."""
MAX_Z = 10.0
"""Deviations beyond which an input counts no more: one odd input is no odd clip."""


class LevelMonitor:
    """Watches a recording that passes by in pieces, as it was recorded."""

    def __init__(self) -> None:
        self._n_samples, self._full, self._peak_db = 0, 0, -np.inf

    def see(self, signal: Waveform) -> None:
        """Look at a (n_samples,) piece."""
        self._n_samples += len(signal)
        self._full += int((np.abs(signal) >= FULL_SCALE).sum())
        self._peak_db = max(self._peak_db, peak_dbfs(signal)) if len(signal) else self._peak_db

    def flags(self) -> tuple[str, ...]:
        """Say what was seen."""
        clipped = self._full > max(CLIPPED * self._n_samples, 2)
        return (*(("quiet",) if self._peak_db < QUIET_DB else ()), *(("clipped",) if clipped else ()))


def has_voice(clip: Waveform, settings: Features, *, rate: int) -> bool:
    """Say whether a clip may be speech."""
    hop_length = round(settings.hop_seconds * rate)
    return voiced_fraction(clip, sr=rate, hop_length=hop_length) > MIN_VOICED_FRACTION


def of_length(seconds: float, *, longest: float | None) -> tuple[str, ...]:
    """Say what a clip's length means; one of `longest` or more is cut."""
    if seconds < SHORT_SECONDS:
        return ("short",)
    return ("cut",) if longest is not None and seconds >= longest else ()


def clip_vectors(inputs: Sequence[Array]) -> Vectors:
    """Sum up what models are given in one vector a clip: the mean of frames, or functionals as they are."""
    return np.stack([one.mean(axis=0, dtype=np.float64) if one.ndim == 2 else one for one in inputs])


def normalized_distance(vectors: Vectors, *, mean: npt.ArrayLike, deviation: npt.ArrayLike) -> Vectors:
    """Compute how far (clips, inputs) vectors are from a mean, in deviations: (clips,), the root of the mean square."""
    away = np.abs((vectors - np.asarray(mean)) / np.asarray(deviation))
    return np.sqrt(np.square(np.minimum(away, MAX_Z)).mean(axis=1))


def majority_flags(flags: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Keep the flags that most pieces of a recording have."""
    return tuple(flag for flag in FLAGS if 2 * sum(flag in some for some in flags) > len(flags))
