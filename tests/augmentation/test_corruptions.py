"""Test clips are altered by as much as the settings say, evenly over speakers and emotions, and preprocessed anew."""

from typing import Any

import numpy as np
import pytest

from ser.audio import io as audio_io
from ser.augmentation import corruptions
from ser.params import Preprocess, Robustness
from tests.helpers import factories
from tests.helpers.signals import RATE, level_db, noise, sine

TONE = sine(1000, seconds=1, amplitude=0.1)


def settings(**changes: Any) -> Robustness:
    values = {"n_clips": 8, "noise_snr_db": [], "telephone": False, "rt60_seconds": [], "gain_db": []}
    return Robustness.model_validate(values | changes)


def raw() -> Preprocess:
    """Preprocess nothing, so that what was altered can be measured."""
    off = {"denoise_strength": 0, "trim_top_db": None, "normalize": "none", "sample_rate": RATE}
    return factories.settings(preprocess=off).preprocess


def altered(name: str, signal: np.ndarray = TONE, *, preprocess: Preprocess | None = None, **asked: Any) -> np.ndarray:
    how = corruptions.corruptions(settings(**asked))[f"robustness_{name}"]
    return corruptions.corrupt(signal, how, preprocess or raw(), name=name, seed=1, clip_id="a")


def power(signal: np.ndarray, low: float, high: float) -> float:
    spectrum = np.abs(np.fft.rfft(signal)) ** 2
    hz = np.fft.rfftfreq(len(signal), 1 / RATE)
    return float(spectrum[(hz >= low) & (hz < high)].sum())


def test_conditions_are_those_of_the_settings() -> None:
    """Each value asked for is a condition, named by it, and nothing else is."""
    asked = {"noise_snr_db": [20, 0], "telephone": True, "rt60_seconds": [0.5], "gain_db": [-12, 12]}
    names = ["noise_20db", "noise_0db", "telephone", "reverberation_0.5s", "level_-12db", "level_12db"]
    assert list(corruptions.corruptions(settings(**asked))) == [f"robustness_{name}" for name in names]
    assert corruptions.corruptions(settings()) == {}


@pytest.mark.parametrize("snr", [20, 10, 0])
def test_noise_has_the_level_asked_for(snr: int) -> None:
    """What is added has the signal's RMS level, less the signal-to-noise ratio."""
    added = altered(f"noise_{snr}db", noise_snr_db=[snr]) - TONE
    assert level_db(TONE) - level_db(added) == pytest.approx(snr, abs=0.1)


def test_noise_is_pink() -> None:
    """Each octave of the noise has the same power."""
    signal = sine(1000, seconds=8, amplitude=0.1)
    added = altered("noise_0db", signal, noise_snr_db=[0]) - signal
    octaves = [10 * np.log10(power(added, low, 2 * low)) for low in (250, 500, 1000, 2000, 4000)]
    assert np.ptp(octaves) < 1


def test_a_telephone_passes_300_to_3400_hz() -> None:
    """A tone within the band comes through, those below and above do not, and none is there above 4 kHz."""
    inside, below, above = (altered("telephone", sine(hz, amplitude=0.1), telephone=True) for hz in (1000, 60, 5000))
    assert level_db(inside) == pytest.approx(level_db(TONE), abs=1)
    assert level_db(below) < level_db(TONE) - 30
    assert level_db(above) < level_db(TONE) - 30
    hiss = altered("telephone", noise(), telephone=True)
    assert power(hiss, 4200, 8000) < 0.001 * power(hiss, 300, 3400)


def test_the_mu_law_has_the_codec_s_noise() -> None:
    """Eight bits by the mu law leave a signal-to-noise ratio of about 38 dB, loud or soft (ITU-T G.711)."""
    for amplitude in (0.5, 0.05):
        signal = sine(1000, amplitude=amplitude)
        assert level_db(signal) - level_db(audio_io.mu_law_codec(signal, rate=RATE) - signal) == pytest.approx(
            38, abs=4
        )


def test_echoes_fall_by_60_db_in_the_time_asked_for() -> None:
    """After a click, the level falls by 6 dB each tenth of the time; together, echoes are as strong as the click."""
    click = np.zeros(2 * RATE, dtype=np.float32)
    click[0] = 0.5
    heard = altered("reverberation_1s", click, rt60_seconds=[1.0])
    echoes = heard[1:]
    tenths = [level_db(echoes[n * RATE // 10 : (n + 1) * RATE // 10]) for n in range(8)]
    assert np.polyfit(range(8), tenths, 1)[0] == pytest.approx(-6, abs=0.3)
    assert np.linalg.norm(echoes) == pytest.approx(0.5, rel=0.1)


def test_a_level_is_changed_and_cut_off_at_full_scale() -> None:
    """Twelve dB less and more, and what would pass full scale is clipped."""
    assert level_db(altered("level_-12db", gain_db=[-12])) == pytest.approx(level_db(TONE) - 12, abs=0.01)
    assert level_db(altered("level_12db", gain_db=[12])) == pytest.approx(level_db(TONE) + 12, abs=0.01)
    assert np.abs(altered("level_12db", sine(1000, amplitude=0.9), gain_db=[12])).max() <= 1


def test_what_is_altered_is_preprocessed_as_recordings_are() -> None:
    """Level normalisation undoes a lower level, as it would for a soft recording."""
    usual = factories.settings(preprocess={"denoise_strength": 0, "trim_top_db": None}).preprocess
    soft = altered("level_-12db", preprocess=usual, gain_db=[-12])
    assert level_db(soft) == pytest.approx(usual.target_level_db, abs=0.1)


def test_what_would_be_refused_is_refused() -> None:
    """A clip that is turned down to nothing is unusable, as such a recording is."""
    with pytest.raises(audio_io.AudioError, match="silence"):
        altered("level_-60db", TONE * np.float32(0.01), gain_db=[-60])


def test_clips_are_chosen_evenly() -> None:
    """Of 12 voices with 8 emotions, 96 clips are one each; the same seed chooses the same, another others."""
    clips = factories.demo()
    chosen = corruptions.select_clips(clips, settings(n_clips=96), seed=1)
    counts = clips[clips.clip_id.isin(chosen)].groupby(["speaker", "emotion"]).size()
    assert counts.to_list() == [1] * 96
    assert corruptions.select_clips(clips.sample(frac=1, random_state=0), settings(n_clips=96), seed=1) == chosen
    assert corruptions.select_clips(clips, settings(n_clips=96), seed=2) != chosen


def test_more_clips_hold_those_of_fewer() -> None:
    """A larger sample is another's superset, a sample larger than the corpus is all of it, and none is none."""
    clips = factories.demo()
    few, many = (set(corruptions.select_clips(clips, settings(n_clips=n), seed=1)) for n in (50, 120))
    assert few < many
    assert len(corruptions.select_clips(clips, settings(n_clips=10_000), seed=1)) == len(clips)
    assert not corruptions.select_clips(clips, settings(n_clips=0), seed=1)
