"""Pitch, voicing and harmonics-to-noise ratio of signals for which they are known."""

from collections.abc import Callable

import numpy as np
import pytest

from ser.features.pitch import pitch_contour, voiced_fraction
from tests.helpers.signals import RATE, harmonics, noise, silence, sine

HOP = 160
STEADY = slice(3, -3)
"""Frames that do not extend beyond the ends of the signal."""


def contour(signal: np.ndarray) -> np.ndarray:
    return pitch_contour(signal, sr=RATE, hop_length=HOP)


@pytest.mark.parametrize("hz", [70, 110, 233.1, 440, 580])
@pytest.mark.parametrize("make_tone", [sine, harmonics])
def test_pitch_is_in_semitones(hz: float, make_tone: Callable[[float], np.ndarray]) -> None:
    """A pure or harmonic tone is voiced, and its pitch is relative to 27.5 Hz."""
    semitones, voiced, _ = contour(make_tone(hz))[STEADY].T
    np.testing.assert_allclose(semitones, 12 * np.log2(hz / 27.5), atol=0.1)
    assert voiced.all()


@pytest.mark.parametrize("ratio_db", [0, 10, 20])
def test_harmonics_to_noise_ratio(ratio_db: float) -> None:
    """The mean ratio for harmonics in white noise is the ratio of their powers in dB."""
    ratio = contour(harmonics(200, ratio_db=ratio_db))[STEADY, 2]
    assert ratio.mean() == pytest.approx(ratio_db, abs=1.5)


def test_pitch_is_interpolated_over_unvoiced_frames() -> None:
    """Noise between two tones is unvoiced, and its pitch is on the line between theirs."""
    signal = np.concatenate([sine(110, seconds=0.4), noise(seconds=0.4), sine(220, seconds=0.4)])
    semitones, voiced, _ = contour(signal).T
    assert voiced[45:75].mean() < 0.1
    assert voiced[5:35].all()
    assert voiced[85:115].all()
    np.testing.assert_allclose(semitones[[20, 60, 100]], [24, 30, 36], atol=1)


@pytest.mark.parametrize("signal", [silence(0.3), noise(seconds=0.3)], ids=["silence", "noise"])
def test_unvoiced_signals(signal: np.ndarray) -> None:
    """Few frames are voiced; silence has the middle of the pitch range."""
    semitones, voiced, ratio = contour(signal).T
    assert voiced.mean() < 0.2
    assert ratio.mean() < 0
    if not signal.any():
        np.testing.assert_allclose(semitones, 12 * np.log2(np.sqrt(65 * 600) / 27.5), rtol=1e-5)


def test_voiced_fraction() -> None:
    """It is 1 for a tone, about 0 for noise, and about half for their concatenation."""
    tone, hiss = sine(200), noise()
    fractions = [voiced_fraction(y, sr=RATE, hop_length=HOP) for y in (tone, hiss, np.concatenate([tone, hiss]))]
    assert fractions == pytest.approx([1, 0, 0.5], abs=0.05)
