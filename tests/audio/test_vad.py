"""Speech is what stands out of the noise, whatever the noise's level."""

import numpy as np
import pytest

from ser.audio import vad
from ser.audio.vad import EnergyVad, Segment
from tests.helpers.fake_model import RATE, quiet, spoken
from tests.helpers.signals import noise, silence, sine


def heard(signal: np.ndarray, *, hop_seconds: float = 1.0) -> tuple[np.ndarray, list[Segment]]:
    listener, loud, segments = EnergyVad(), [], []
    size = round(hop_seconds * RATE)
    for start in range(0, len(signal), size):
        found, ended = listener.update(vad.frame_levels_db(signal[start : start + size], rate=RATE))
        loud.append(found)
        segments.extend(ended)
    return np.concatenate(loud), [*segments, *listener.close()]


def test_levels_are_those_of_frames() -> None:
    """A sine of amplitude 0.5 has an RMS level of -9.03 dBFS in every frame, also in the last, which is shorter."""
    levels = vad.frame_levels_db(sine(1000, seconds=0.105), rate=RATE)
    assert len(levels) == 11
    np.testing.assert_allclose(levels, -9.03, atol=0.01)
    assert len(vad.frame_levels_db(np.empty(0, dtype=np.float32), rate=RATE)) == 0


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.01])
def test_segments_are_where_somebody_speaks(gain: float) -> None:
    """Two utterances in a quiet room are found to the frame, syllables joined, in a soft recording too."""
    signal = gain * np.concatenate([quiet(2), spoken(200, seconds=2), quiet(1), spoken(200, seconds=1), quiet(1)])
    _, segments = heard(signal.astype(np.float32))
    ends = [(segment.start, segment.end) for segment in segments]
    np.testing.assert_allclose(ends, [(2.0, 3.9), (5.0, 5.9)], atol=0.011)


@pytest.mark.parametrize("signal", [silence(3), noise(seconds=20, level_db=-20), sine(440, seconds=3)])
def test_what_is_steady_is_no_speech(signal: np.ndarray) -> None:
    """Silence, noise as loud as speech, and a hum are not taken for somebody who speaks."""
    loud, segments = heard(signal)
    assert loud.sum() == 0
    assert segments == []


def test_speech_is_found_from_the_first_sample() -> None:
    """A recording that was cut to its speech has no quiet beginning to learn the noise from."""
    loud, [segment] = heard(spoken(200, seconds=2))
    assert loud.mean() == pytest.approx(0.6, abs=0.02)
    assert segment == Segment(0.0, 1.9)


def test_a_click_is_no_segment() -> None:
    """Something of two frames is too short for speech."""
    signal = quiet(2)
    signal[RATE : RATE + 320] += sine(500, seconds=0.02)
    assert heard(signal)[1] == []


def test_noise_that_grows_is_learnt() -> None:
    """A machine that starts is taken for speech, but not for ever."""
    loud, _ = heard(np.concatenate([quiet(5), noise(seconds=40, level_db=-30)]))
    assert loud[600]
    assert loud[-2000:].sum() == 0
