"""Effects change a known property of a signal and no other."""

from typing import Any

import numpy as np
import pyloudnorm
import pytest

from ser.audio import effects
from tests.helpers.signals import RATE, level_db, noise, pitch, silence, sine

TONE = sine(440, seconds=0.5)


def peak_db(signal: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(signal).max()))


def loudness(signal: np.ndarray) -> float:
    return float(pyloudnorm.Meter(RATE).integrated_loudness(signal.astype(np.float64)))


def test_mono_is_the_mean_of_the_channels() -> None:
    """The type remains float32."""
    mono = effects.to_mono(np.array([[0.75, -0.25], [0, 1]], dtype=np.float32))
    assert (mono.tolist(), mono.dtype) == ([0.25, 0.5], np.float32)


@pytest.mark.parametrize("rate", [8000, 22050, 24414, 48000, 96000])
def test_resampling_keeps_pitch_level_and_duration(rate: int) -> None:
    """A tone within both bands does not change."""
    resampled = effects.resample(sine(1000, rate=rate), rate=rate, to=RATE)
    assert len(resampled) == RATE
    assert pitch(resampled) == pytest.approx(1000, abs=0.2)
    assert level_db(resampled[1600:-1600]) == pytest.approx(level_db(sine(1000)), abs=0.05)


def test_resampling_in_blocks() -> None:
    """Blocks of any size give the same samples as the whole signal."""
    signal = noise(rate=44100)
    blocks = np.split(signal, [1, 500, 501, 30_000])
    resampled = np.concatenate(list(effects.resampled_blocks(blocks, rate=44100, to=RATE)))
    np.testing.assert_array_equal(resampled, effects.resample(signal, rate=44100, to=RATE))


@pytest.mark.parametrize(("method", "measure"), [("peak", peak_db), ("rms", level_db), ("loudness", loudness)])
@pytest.mark.parametrize("gain", [0.001, 2.0])
def test_normalization_reaches_the_target(method: str, measure: Any, gain: float) -> None:
    """The level before has no influence."""
    signal = gain * (sine(440) + noise())
    assert measure(effects.normalize(signal, rate=RATE, method=method, target_db=-23)) == pytest.approx(-23, abs=0.02)


@pytest.mark.parametrize("method", ["peak", "rms", "loudness", "none"])
def test_normalization_does_not_clip(method: str) -> None:
    """A click limits the gain, so that the peak is 0.99; without normalization a lower peak is kept."""
    signal = sine(440, amplitude=0.01)
    signal[8000] = 2
    normalized = effects.normalize(signal, rate=RATE, method=method, target_db=0)
    assert np.abs(normalized).max() == pytest.approx(0.99, abs=1e-6)
    np.testing.assert_allclose(normalized, signal * normalized[8000] / 2, rtol=1e-5)
    np.testing.assert_array_equal(effects.normalize(TONE, rate=RATE, method="none", target_db=-23), TONE)


@pytest.mark.parametrize(("rate", "n_samples"), [(RATE, 4800), (RATE, 2007), (24000, 7204), (48000, 14408)])
def test_loudness_of_short_clips(rate: int, n_samples: int) -> None:
    """A clip shorter than the block of 0.4 s of the standard is a single block, at any length and rate."""
    clip = effects.normalize(noise()[:n_samples], rate=rate, method="loudness", target_db=-23)
    assert level_db(clip) == pytest.approx(-23, abs=4)  # K-weighting changes the level of noise by a few dB


def test_trimming_removes_leading_and_trailing_silence() -> None:
    """At most one frame of 512 samples remains on each side, and the signal does not change."""
    trimmed = effects.trim(np.concatenate([silence(0.7), TONE, silence(0.4)]), top_db=40)
    start = np.flatnonzero(trimmed)[0]
    assert start <= 512
    assert len(TONE) <= len(trimmed) <= len(TONE) + 2 * 512
    np.testing.assert_array_equal(trimmed[start : start + len(TONE) - 1], TONE[1:])


def test_trimming_is_relative_to_the_loudest_frame() -> None:
    """A tail at -30 dB is trimmed at 20 dB, kept at 40 dB, and nothing is trimmed if it is off."""
    signal = np.concatenate([TONE, 10 ** (-30 / 20) * TONE])
    assert len(effects.trim(signal, top_db=20)) == pytest.approx(len(TONE), abs=512)
    assert len(effects.trim(signal, top_db=40)) == len(signal)
    assert effects.trim(np.pad(signal, 8000), top_db=None).shape == (len(signal) + 16000,)


@pytest.mark.parametrize(("prop_decrease", "reduction_db"), [(0, 0), (0.5, 6), (0.9, 20)])
def test_denoising_lowers_the_noise_floor(prop_decrease: float, reduction_db: float) -> None:
    """Noise is reduced by the fraction of its amplitude, and a loud signal within it is kept."""
    signal = noise(seconds=3, level_db=-50)
    signal[24000:27200] += noise(seconds=0.2, level_db=-10, seed=1)
    clean = effects.denoise(signal, rate=RATE, prop_decrease=prop_decrease)
    assert clean.shape == signal.shape
    assert level_db(signal[:20000]) - level_db(clean[:20000]) == pytest.approx(reduction_db, abs=1.5)
    assert level_db(clean[24800:26400]) == pytest.approx(level_db(signal[24800:26400]), abs=0.5)
