"""Detect voice activity in a stream by the energy of frames relative to a noise floor, in constant memory.

Frames last 10 ms and levels are RMS in dBFS. Any sound above the noise floor counts as speech, music too.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ser.audio.types import Waveform

FRAME_SECONDS = 0.01
NOISE_WINDOW_SECONDS = 15.0
"""Duration over which the noise floor is estimated. Louder noise counts as speech for about as long."""
NOISE_PERCENTILE = 10
"""Percentile of the frame levels taken as the noise floor; fluent speech has as many pauses."""
MIN_FLOOR_DB = -80.0
"""Lower limit of the noise floor, so that dither is not speech. Calm speech in RAVDESS is at -60."""
SPEECH_MARGIN_DB = 10.0
"""Level of speech above the noise floor; stationary noise varies by 2 dB between frames."""
MAX_PAUSE_SECONDS = 0.3
"""Longest pause within a segment."""
MIN_SPEECH_SECONDS = 0.1
"""Shortest segment; anything shorter is a click."""

Levels = npt.NDArray[np.float64]
Loud = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Segment:
    """A segment of speech, in seconds from the start of the stream."""

    start: float
    end: float


def frame_levels_db(signal: Waveform, *, rate: int) -> Levels:
    """Compute the level of every frame of a signal of shape (n_samples,), in dBFS; the last frame may be shorter."""
    size = round(rate * FRAME_SECONDS)
    starts = np.arange(0, len(signal), size)
    if not len(starts):
        return np.empty(0)
    energy = np.add.reduceat(np.square(signal, dtype=np.float64), starts)
    counts = np.diff([*starts, len(signal)])
    return 10 * np.log10(np.maximum(energy / counts, 1e-20))


class EnergyVad:
    """Detect speech in a stream of frame levels. A decision never changes afterwards."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=round(NOISE_WINDOW_SECONDS / FRAME_SECONDS))
        self._n_frames = 0
        self._first: int | None = None
        self._last = 0

    def update(self, levels: Levels) -> tuple[Loud, Sequence[Segment]]:
        """Process the next frames.

        Parameters
        ----------
        levels : ndarray of shape (n_frames,)
            Levels of the frames in dBFS.

        Returns
        -------
        loud : ndarray of shape (n_frames,), bool
            True for frames above the noise floor, which is estimated from these frames too.
        segments : sequence of Segment
            Segments that ended.
        """
        self._recent.extend(levels.tolist())
        floor = float(np.percentile(self._recent, NOISE_PERCENTILE)) if self._recent else MIN_FLOOR_DB
        loud = levels > max(floor, MIN_FLOOR_DB) + SPEECH_MARGIN_DB
        ended = list(self._segments(np.flatnonzero(loud) + self._n_frames))
        self._n_frames += len(levels)
        if self._pause_exceeded(self._n_frames):
            ended.extend(self.close())
        return loud, ended

    def _segments(self, loud_frames: npt.NDArray[np.intp]) -> Iterator[Segment]:
        for frame in loud_frames.tolist():
            if self._pause_exceeded(frame):
                yield from self.close()
            if self._first is None:
                self._first = frame
            self._last = frame

    def _pause_exceeded(self, frame: int) -> bool:
        return self._first is not None and (frame - self._last) * FRAME_SECONDS > MAX_PAUSE_SECONDS

    def close(self) -> Sequence[Segment]:
        """End the current segment and return it, unless there is none or it is too short."""
        if self._first is None:
            return []
        segment = Segment(round(self._first * FRAME_SECONDS, 2), round((self._last + 1) * FRAME_SECONDS, 2))
        self._first = None
        return [segment] if segment.end - segment.start >= MIN_SPEECH_SECONDS - FRAME_SECONDS / 2 else []
