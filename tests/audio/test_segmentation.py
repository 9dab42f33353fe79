"""Recordings are split at pauses, and long speech at quiet positions."""

from itertools import pairwise

import numpy as np
import pytest

from ser.audio import segmentation
from tests.helpers.signals import RATE, noise, sine

ROOM_DB = -65


def speech(seconds: float) -> np.ndarray:
    """Make a tone of syllables, four per second, the fourth of which is quieter, in room noise."""
    times = np.arange(round(seconds * RATE)) / RATE
    loudness = np.where(times % 0.25 < 0.18, 1.0, 0.1)
    return (sine(200, seconds=seconds, amplitude=0.3) * loudness + room(seconds)).astype(np.float32)


def room(seconds: float) -> np.ndarray:
    return noise(seconds=seconds, level_db=ROOM_DB, seed=2)


def find(*parts: np.ndarray, max_seconds: float = 3) -> list[tuple[float, float]]:
    segments = segmentation.find_segments(np.concatenate(parts), rate=RATE, max_seconds=max_seconds)
    return [(segment.start, segment.end) for segment in segments]


@pytest.mark.parametrize("pause", [0.5, 1, 2, 5])
def test_a_pause_ends_a_segment(pause: float) -> None:
    """Segments have at most 0.4 s of the pause at each end."""
    (first, end), (start, last) = find(room(1), speech(2), room(pause), speech(2), room(1))
    margin = min(0.4, pause / 2)
    assert (first, end) == pytest.approx((0.6, 3 + margin), abs=0.1)
    assert (start, last) == pytest.approx((3 + pause - margin, 5 + pause + 0.4), abs=0.1)


def test_one_sentence_is_one_segment() -> None:
    """Short pauses between words do not end a segment."""
    assert len(find(room(0.5), speech(1), room(0.2), speech(1.5), room(0.5))) == 1


def test_long_speech_is_split_at_its_quietest_position() -> None:
    """The position is a pause too short to end a segment."""
    (_, end), (start, _) = find(room(0.5), speech(2), room(0.2), speech(2), room(0.5))
    assert end == start == pytest.approx(2.6, abs=0.1)


@pytest.mark.parametrize("seconds", [4, 11, 29])
def test_no_segment_is_much_longer_than_the_limit(seconds: float) -> None:
    """Segments cover the signal, also without any pause or silence."""
    for signal in (speech(seconds), sine(200, seconds=seconds), room(seconds)):
        segments = find(signal)
        assert all(end - start <= 3 + 0.8 + 2 * 0.4 for start, end in segments)
        assert (segments[0][0], segments[-1][1]) == pytest.approx((0, seconds), abs=0.2)
        assert all(end == start for (_, end), (start, _) in pairwise(segments))


def test_a_short_word_is_joined_with_its_neighbour() -> None:
    """A segment of less than 0.8 s would say little."""
    assert len(find(room(0.5), speech(0.5), room(0.5), speech(2), room(0.5))) == 1
    assert len(find(room(0.5), speech(0.5), room(1.5), speech(2), room(0.5))) == 2
