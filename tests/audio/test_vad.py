"""Speech is detected relative to the noise floor."""

import numpy as np
import pytest

from ser.audio.vad import EnergyVad, Segment, frame_levels_db
from tests.helpers.fake_model import RATE, quiet, spoken
from tests.helpers.signals import noise, silence, sine


def detect(signal: np.ndarray) -> tuple[np.ndarray, list[Segment]]:
    """Process a signal second by second."""
    vad, loud, segments = EnergyVad(), [], []
    for start in range(0, len(signal), RATE):
        above_floor, ended = vad.update(frame_levels_db(signal[start : start + RATE], rate=RATE))
        loud.append(above_floor)
        segments.extend(ended)
    return np.concatenate(loud), [*segments, *vad.close()]


def test_frame_levels() -> None:
    """A sine of amplitude 0.5 has an RMS level of -9.03 dBFS in every frame, also in the last, which is shorter."""
    levels = frame_levels_db(sine(1000, seconds=0.105), rate=RATE)
    assert len(levels) == 11
    np.testing.assert_allclose(levels, -9.03, atol=0.01)
    assert len(frame_levels_db(np.empty(0, dtype=np.float32), rate=RATE)) == 0


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.01])
def test_segments_of_two_utterances(gain: float) -> None:
    """Segments are exact to a frame, join syllables, and do not depend on the level."""
    signal = gain * np.concatenate([quiet(2), spoken(200, seconds=2), quiet(1), spoken(200, seconds=1), quiet(1)])
    _, segments = detect(signal.astype(np.float32))
    ends = [(segment.start, segment.end) for segment in segments]
    np.testing.assert_allclose(ends, [(2.0, 3.9), (5.0, 5.9)], atol=0.011)


@pytest.mark.parametrize("signal", [silence(3), noise(seconds=20, level_db=-20), sine(440, seconds=3)])
def test_stationary_signals_are_not_speech(signal: np.ndarray) -> None:
    """Silence, loud noise and a hum have no segments."""
    loud, segments = detect(signal)
    assert not loud.any()
    assert segments == []


def test_speech_without_a_preceding_pause() -> None:
    """A recording trimmed to speech is detected from the first sample."""
    loud, [segment] = detect(spoken(200, seconds=2))
    assert loud.mean() == pytest.approx(0.6, abs=0.02)
    assert segment == Segment(0.0, 1.9)


def test_click_is_not_a_segment() -> None:
    """Two frames are too short for speech."""
    signal = quiet(2)
    signal[RATE : RATE + 320] += sine(500, seconds=0.02)
    assert detect(signal)[1] == []


def test_noise_floor_adapts() -> None:
    """A noise that starts counts as speech only for the first seconds."""
    loud, _ = detect(np.concatenate([quiet(5), noise(seconds=40, level_db=-30)]))
    assert loud[600]
    assert not loud[-2000:].any()
