"""Corruptions have the strength of the settings, cover speakers and emotions evenly, and are preprocessed."""

from typing import Any

import numpy as np
import pytest

from ser.audio import io as audio_io
from ser.augmentation import corruptions
from ser.params import Preprocess, Robustness
from tests.helpers import factories
from tests.helpers.signals import RATE, level_db, noise, sine

TONE = sine(1000, seconds=1, amplitude=0.1)
NO_PREPROCESSING = factories.settings(
    preprocess={"denoise_strength": 0, "trim_top_db": None, "normalize": "none", "sample_rate": RATE}
).preprocess


def settings(**changes: Any) -> Robustness:
    values = {"n_clips": 8, "noise_snr_db": [], "telephone": False, "rt60_seconds": [], "gain_db": []}
    return Robustness.model_validate(values | changes)


def corrupt(
    name: str, signal: np.ndarray = TONE, *, preprocess: Preprocess = NO_PREPROCESSING, **changes: Any
) -> np.ndarray:
    corruption = corruptions.corruptions(settings(**changes))[f"robustness_{name}"]
    return corruptions.corrupt(signal, corruption, preprocess, name=name, seed=1, clip_id="a")


def power(signal: np.ndarray, low: float, high: float) -> float:
    spectrum = np.abs(np.fft.rfft(signal)) ** 2
    hz = np.fft.rfftfreq(len(signal), 1 / RATE)
    return float(spectrum[(hz >= low) & (hz < high)].sum())


def test_names_of_corruptions() -> None:
    """Each value in the settings has a corruption, named after it."""
    values = {"noise_snr_db": [20, 0], "telephone": True, "rt60_seconds": [0.5], "gain_db": [-12, 12]}
    names = ["noise_20db", "noise_0db", "telephone", "reverberation_0.5s", "level_-12db", "level_12db"]
    assert list(corruptions.corruptions(settings(**values))) == [f"robustness_{name}" for name in names]
    assert corruptions.corruptions(settings()) == {}


@pytest.mark.parametrize("snr", [20, 10, 0])
def test_noise_is_pink_and_has_the_signal_to_noise_ratio(snr: int) -> None:
    """The RMS level of the noise is below that of the signal by the ratio, and each octave has the same power."""
    signal = sine(1000, seconds=8, amplitude=0.1)
    added = corrupt(f"noise_{snr}db", signal, noise_snr_db=[snr]) - signal
    assert level_db(signal) - level_db(added) == pytest.approx(snr, abs=0.1)
    octaves = [10 * np.log10(power(added, low, 2 * low)) for low in (250, 500, 1000, 2000, 4000)]
    assert np.ptp(octaves) < 1


def test_telephone_band() -> None:
    """A tone within 300 to 3400 Hz passes, tones below and above do not, and nothing is above 4 kHz."""
    inside, below, above = (corrupt("telephone", sine(hz, amplitude=0.1), telephone=True) for hz in (1000, 60, 5000))
    assert level_db(inside) == pytest.approx(level_db(TONE), abs=1)
    assert level_db(below) < level_db(TONE) - 30
    assert level_db(above) < level_db(TONE) - 30
    hiss = corrupt("telephone", noise(), telephone=True)
    assert power(hiss, 4200, 8000) < 0.001 * power(hiss, 300, 3400)


def test_reverberation_time() -> None:
    """After a click, the level falls by 6 dB per tenth of RT60; the energy of the echoes is that of the click."""
    click = np.zeros(2 * RATE, dtype=np.float32)
    click[0] = 0.5
    echoes = corrupt("reverberation_1s", click, rt60_seconds=[1.0])[1:]
    tenths = [level_db(echoes[n * RATE // 10 : (n + 1) * RATE // 10]) for n in range(8)]
    assert np.polyfit(range(8), tenths, 1)[0] == pytest.approx(-6, abs=0.3)
    assert np.linalg.norm(echoes) == pytest.approx(0.5, rel=0.1)


def test_gain_is_clipped_at_full_scale() -> None:
    """The level changes by the gain, and no sample exceeds full scale."""
    for gain in (-12, 12):
        assert level_db(corrupt(f"level_{gain}db", gain_db=[gain])) == pytest.approx(level_db(TONE) + gain, abs=0.01)
    assert np.abs(corrupt("level_12db", sine(1000, amplitude=0.9), gain_db=[12])).max() <= 1


def test_corrupted_clips_are_preprocessed() -> None:
    """Normalization restores a lower level, and a silent result is rejected as such a recording is."""
    preprocess = factories.settings(preprocess={"denoise_strength": 0, "trim_top_db": None}).preprocess
    clip = corrupt("level_-12db", preprocess=preprocess, gain_db=[-12])
    assert level_db(clip) == pytest.approx(preprocess.target_level_db, abs=0.1)
    with pytest.raises(audio_io.NoSpeechError):
        corrupt("level_-60db", TONE * np.float32(0.01), gain_db=[-60])


def test_selection_is_even_and_reproducible() -> None:
    """96 clips of 12 speakers and 8 emotions are one of each; only the seed changes the selection."""
    clips = factories.demo()
    selected = corruptions.select_clips(clips, settings(n_clips=96), seed=1)
    counts = clips[clips.clip_id.isin(selected)].groupby(["speaker", "emotion"]).size()
    assert counts.to_list() == [1] * 96
    assert corruptions.select_clips(clips.sample(frac=1, random_state=0), settings(n_clips=96), seed=1) == selected
    assert corruptions.select_clips(clips, settings(n_clips=96), seed=2) != selected


def test_larger_selection_is_a_superset() -> None:
    """A selection larger than the corpus is all of it."""
    clips = factories.demo()
    few, many, everything = (corruptions.select_clips(clips, settings(n_clips=n), seed=1) for n in (50, 120, 10_000))
    assert set(few) < set(many) < set(everything) == set(clips.clip_id)
