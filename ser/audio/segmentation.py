"""Split recordings into segments of speech, as short as the clips that models are trained on.

Functionals and pooling describe a whole clip. With a pause or several sentences in it, they differ from those of single
sentences, and so does the prediction. Training and inference split recordings by the same functions.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ser.audio.types import Waveform
from ser.audio.vad import FRAME_SECONDS, EnergyVad, Levels, Segment, frame_levels_db

PASSAGE_SECONDS = 30.0
"""Longer recordings are processed in passages, which bounds memory."""
MARGIN_SECONDS = 0.4
"""Longest part of a pause that is kept on each side of a segment, for soft beginnings and ends of words."""
MIN_SEGMENT_SECONDS = 0.8
"""Shorter segments are joined with a neighbour that is at most `MAX_JOINED_PAUSE_SECONDS` away."""
MAX_JOINED_PAUSE_SECONDS = 1.0
MIN_PART_SECONDS = 0.8
"""Shortest part of a segment that is split without a pause."""
SMOOTHING_SECONDS = 0.2
"""Duration over which levels are averaged to find the quietest position."""


def find_segments(signal: Waveform, *, rate: int, max_seconds: float) -> list[Segment]:
    """Find segments of speech: split at pauses and, where these are further apart than `max_seconds`, at quiet frames.

    Parameters
    ----------
    signal : ndarray of shape (n_samples,), float32
    rate : int
        Sample rate in Hz.
    max_seconds : float
        Longest segment in seconds, without margins; `MIN_SEGMENT_SECONDS` more if a short part is joined.

    Returns
    -------
    list of Segment
        In order and without overlap; the whole signal if no part of it is louder than the noise floor.
    """
    levels, vad = frame_levels_db(signal, rate=rate), EnergyVad()
    spoken = [*vad.update(levels)[1], *vad.close()] or [Segment(0.0, len(signal) / rate)]
    short = [part for segment in spoken for part in _split_long(segment, levels, max_seconds)]
    parts = _join_short(short, max_seconds=max_seconds + MIN_SEGMENT_SECONDS)
    ends = [0.0, *((a.end + b.start) / 2 for a, b in pairwise(parts)), len(signal) / rate]
    return [
        Segment(max(part.start - MARGIN_SECONDS, start), min(part.end + MARGIN_SECONDS, end))
        for part, (start, end) in zip(parts, pairwise(ends), strict=True)
    ]


def _join_short(segments: list[Segment], *, max_seconds: float) -> list[Segment]:
    joined = segments[:1]
    for segment in segments[1:]:
        last = joined[-1]
        shorter = min(last.end - last.start, segment.end - segment.start)
        near = segment.start - last.end <= MAX_JOINED_PAUSE_SECONDS
        if shorter < MIN_SEGMENT_SECONDS and near and segment.end - last.start <= max_seconds:
            joined[-1] = Segment(last.start, segment.end)
        else:
            joined.append(segment)
    return joined


def _split_long(segment: Segment, levels: Levels, max_seconds: float) -> Iterator[Segment]:
    start, end = segment.start, segment.end
    if end - start <= max(max_seconds, 2 * MIN_PART_SECONDS):
        yield segment
        return
    cut = quietest_position(levels, start=start + MIN_PART_SECONDS, end=end - MIN_PART_SECONDS)
    yield from _split_long(Segment(start, cut), levels, max_seconds)
    yield from _split_long(Segment(cut, end), levels, max_seconds)


def quietest_position(levels: Levels, *, start: float, end: float) -> float:
    """Find the quietest position between two times in seconds, from the levels of frames in dBFS."""
    width = round(SMOOTHING_SECONDS / FRAME_SECONDS)
    smooth = np.convolve(10 ** (levels / 10), np.ones(width) / width, mode="same")
    first, last = round(start / FRAME_SECONDS), round(end / FRAME_SECONDS) + 1
    candidates = 10 * np.log10(np.maximum(smooth[first:last], 1e-20))
    distance = np.abs(np.linspace(-1, 1, len(candidates)))  # prefers the middle by up to 3 dB
    return round((first + int(np.argmin(candidates + 3 * distance))) * FRAME_SECONDS, 2)
