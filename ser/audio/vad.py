"""Where in a signal somebody speaks: frames that stand out of the noise. For signals that pass by, in constant memory.

A frame is 10 ms; a level is its RMS in dBFS. What is loud and not steady counts as speech, so that music does too.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser.audio.types import Waveform

FRAME_SECONDS = 0.01
NOISE_WINDOW_SECONDS = 15.0
"""The noise is what has been quiet for so long. Louder noise is taken for speech until it has lasted about as long."""
NOISE_PERCENTILE = 10
"""Per cent of those frames that lie below the noise's level: fluent speech has as many gaps between its sounds."""
QUIETEST_DB = -80.0
"""Noise is taken to be at least as loud, or the last bits of a silent file would be speech; calm
actors of RAVDESS speak at -60."""
SPEECH_MARGIN_DB = 10.0
"""Speech is so much louder than the noise; steady noise varies by 2 dB from frame to frame."""
MAX_PAUSE_SECONDS = 0.3
"""A gap as short is part of speaking."""
MIN_SPEECH_SECONDS = 0.1
"""What is shorter is a click."""

Levels = npt.NDArray[np.float64]
Loud = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Segment:
    """Where somebody speaks, in seconds from the beginning."""

    start: float
    end: float


def frame_levels_db(signal: Waveform, *, rate: int) -> Levels:
    """Measure the level of every frame of a (n_samples,) signal, in dBFS; the last frame may be shorter."""
    size = round(rate * FRAME_SECONDS)
    starts = np.arange(0, len(signal), size)
    if not len(starts):
        return np.empty(0)
    energy = np.add.reduceat(np.square(signal, dtype=np.float64), starts)
    counts = np.diff([*starts, len(signal)])
    return 10 * np.log10(np.maximum(energy / counts, 1e-20))


class EnergyVad:
    """Tells speech from noise, hop by hop; what it says of a hop does not change later."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=round(NOISE_WINDOW_SECONDS / FRAME_SECONDS))
        self._n_frames = 0
        self._first: int | None = None
        self._last = 0

    @property
    def floor_db(self) -> float:
        """The noise's level in dBFS, as far as it has been heard."""
        heard = np.percentile(self._recent, NOISE_PERCENTILE) if self._recent else QUIETEST_DB
        return max(float(heard), QUIETEST_DB)

    def update(self, frames: Levels) -> tuple[Loud, Sequence[Segment]]:
        """Add the next frames.

        Parameters
        ----------
        frames : (n_frames,) float64
            Their levels, in dBFS.

        Returns
        -------
        loud : (n_frames,) bool
            Which of them stand out of the noise, these frames included.
        segments : sequence of Segment
            Speech that has ended by now.
        """
        self._recent.extend(frames.tolist())
        loud = frames > self.floor_db + SPEECH_MARGIN_DB
        ended = list(self._segments(np.flatnonzero(loud) + self._n_frames))
        self._n_frames += len(frames)
        if self._first is not None and self._gap(self._n_frames):
            ended.extend(self.close())
        return loud, ended

    def _segments(self, places: npt.NDArray[np.intp]) -> Iterator[Segment]:
        for place in places.tolist():
            if self._first is not None and self._gap(place):
                yield from self.close()
            if self._first is None:
                self._first = place
            self._last = place

    def _gap(self, place: int) -> bool:
        return (place - self._last) * FRAME_SECONDS > MAX_PAUSE_SECONDS

    def close(self) -> Sequence[Segment]:
        """End the segment that goes on, if one does."""
        if self._first is None:
            return []
        segment = Segment(round(self._first * FRAME_SECONDS, 2), round((self._last + 1) * FRAME_SECONDS, 2))
        self._first = None
        return [segment] if segment.end - segment.start >= MIN_SPEECH_SECONDS - FRAME_SECONDS / 2 else []
