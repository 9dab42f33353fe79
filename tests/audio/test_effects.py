"""Effects change what they say of a signal, and nothing else."""

from typing import Any

import numpy as np
import pyloudnorm
import pytest

from ser.audio import effects
from tests.helpers.signals import RATE, level_db, noise, pitch, silence, sine

TONE = sine(440, seconds=0.5)


def test_channels_are_averaged() -> None:
    """Mono is the mean of the channels."""
    stereo = np.stack([np.full(8000, 0.6), np.full(8000, -0.2)], axis=1).astype(np.float32)
    np.testing.assert_allclose(effects.to_mono(stereo), np.full(8000, 0.2), rtol=1e-6)
    assert effects.to_mono(stereo).dtype == np.float32


@pytest.mark.parametrize("rate", [8000, 22050, 24414, 48000, 96000])
def test_a_tone_keeps_its_pitch_level_and_length_at_another_rate(rate: int) -> None:
    """Resampling changes the number of samples and nothing that is heard."""
    resampled = effects.resample(sine(1000, rate=rate), rate=rate, to=RATE)
    assert len(resampled) == RATE
    assert pitch(resampled) == pytest.approx(1000, abs=0.2)
    assert level_db(resampled[1600:-1600]) == pytest.approx(level_db(sine(1000)), abs=0.05)


def test_what_lies_beyond_half_the_new_rate_is_removed() -> None:
    """Resampling folds no tone back into the band."""
    resampled = effects.resample(sine(12000, rate=48000), rate=48000, to=RATE)
    assert level_db(resampled[1600:-1600]) < -90


def peak_db(signal: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(signal).max()))


def loudness(signal: np.ndarray) -> float:
    return float(pyloudnorm.Meter(RATE).integrated_loudness(signal.astype(np.float64)))


@pytest.mark.parametrize(("method", "measure"), [("peak", peak_db), ("rms", level_db), ("loudness", loudness)])
@pytest.mark.parametrize("gain", [0.001, 2.0])
def test_normalisation_reaches_the_level(method: str, measure: Any, gain: float) -> None:
    """Loud or soft, a signal comes out at the level that was asked for."""
    signal = gain * (sine(440) + noise())
    assert measure(effects.normalize(signal, rate=RATE, method=method, level_db=-23)) == pytest.approx(-23, abs=0.02)


@pytest.mark.parametrize("method", ["peak", "rms", "loudness", "none"])
def test_normalisation_never_passes_full_scale(method: str) -> None:
    """A click in soft speech keeps below 0.99, and the rest keeps its proportion to it."""
    signal = sine(440, amplitude=0.01)
    signal[8000] = 2
    loud = effects.normalize(signal, rate=RATE, method=method, level_db=0)
    assert np.abs(loud).max() == pytest.approx(0.99, abs=1e-6)
    np.testing.assert_allclose(loud, signal * loud[8000] / 2, rtol=1e-5)


def test_normalisation_can_be_off() -> None:
    """`none` leaves every sample as it is."""
    np.testing.assert_array_equal(effects.normalize(TONE, rate=RATE, method="none", level_db=-23), TONE)


@pytest.mark.parametrize(("rate", "n_samples"), [(RATE, 4800), (RATE, 2007), (24000, 7204), (48000, 14408)])
def test_loudness_of_a_clip_shorter_than_a_block(rate: int, n_samples: int) -> None:
    """A clip of less than the 0.4 s that loudness is defined on is one block, at any length and rate."""
    clip = effects.normalize(noise()[:n_samples], rate=rate, method="loudness", level_db=-23)
    assert level_db(clip) == pytest.approx(-23, abs=4)  # K-weighting moves the loudness of noise by a few dB


def test_trimming_removes_surrounding_silence() -> None:
    """What is left is the sound, and at most a frame of 512 samples on either side."""
    trimmed = effects.trim(np.concatenate([silence(0.7), TONE, silence(0.4)]), below_db=40)
    start = np.flatnonzero(trimmed)[0]
    assert start <= 512
    assert len(TONE) <= len(trimmed) <= len(TONE) + 2 * 512
    np.testing.assert_array_equal(trimmed[start : start + len(TONE) - 1], TONE[1:])


def test_trimming_goes_by_the_loudest_frame() -> None:
    """A tail 30 dB below the rest is silence at 20 dB, none at 40, and all stays where trimming is off."""
    signal = np.concatenate([TONE, 10 ** (-30 / 20) * TONE])
    assert len(effects.trim(signal, below_db=20)) == pytest.approx(len(TONE), abs=512)
    assert len(effects.trim(signal, below_db=40)) == len(signal)
    assert effects.trim(np.pad(signal, 8000), below_db=None).shape == (len(signal) + 16000,)


@pytest.mark.parametrize(("share", "reduction_db"), [(0.5, 6), (0.9, 20)])
def test_denoising_lowers_the_noise_floor(share: float, reduction_db: float) -> None:
    """The floor sinks by the share of its amplitude that is taken away, and a loud sound within it stays."""
    signal = noise(seconds=3, level_db=-50)
    signal[24000:27200] += noise(seconds=0.2, level_db=-10, seed=1)
    clean = effects.denoise(signal, rate=RATE, share=share)
    assert clean.shape == signal.shape
    assert level_db(signal[:20000]) - level_db(clean[:20000]) == pytest.approx(reduction_db, abs=1.5)
    assert level_db(clean[24800:26400]) == pytest.approx(level_db(signal[24800:26400]), abs=0.5)


def test_denoising_can_be_off() -> None:
    """A share of 0 leaves every sample as it is."""
    np.testing.assert_array_equal(effects.denoise(noise(), rate=RATE, share=0), noise())
