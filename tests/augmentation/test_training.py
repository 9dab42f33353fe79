"""Augmented clips are within the ranges of the settings and depend on (seed, clip, number) only."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from ser.audio import io as audio_io
from ser.augmentation import training
from ser.augmentation.training import augment, augment_clips
from ser.dataset.clips import AUDIO, clip_writer
from ser.params import Augment, AugmentationName
from tests.helpers import factories
from tests.helpers.signals import RATE, level_db, noise, pitch, ravdess_names, silence, sine, write_clip_table

AUGMENTATIONS: tuple[AugmentationName, ...] = get_args(AugmentationName)
TONE = sine(440, seconds=0.5, amplitude=0.2)
IMPULSE = np.concatenate([silence(0.25), [np.float32(0.5)], silence(0.25)])
RANGES = {
    "noise_snr_db": {"min": 10, "max": 30},
    "band_low_hz": {"min": 80, "max": 400},
    "band_high_hz": {"min": 2800, "max": 5000},
    "rt60_seconds": {"min": 0.2, "max": 0.9},
    "time_stretch_rate": {"min": 0.85, "max": 1.15},
    "pitch_shift_semitones": {"min": -2, "max": 2},
    "time_shift_fraction": {"min": -0.1, "max": 0.1},
    "speed_factor": {"min": 0.8, "max": 1.25},
}
ROBUSTNESS = {"n_clips": 0, "noise_snr_db": [10], "telephone": True, "rt60_seconds": [], "gain_db": []}
PREPROCESS = factories.settings().preprocess
PLAIN = factories.settings(preprocess={"denoise_strength": 0, "trim_top_db": None, "normalize": "none"}).preprocess


def settings(*, corrupted: int = 0, **changes: Any) -> Augment:
    """Make the section `augment` with a number of clips to corrupt."""
    robustness = {"robustness": ROBUSTNESS | {"n_clips": corrupted}}
    defaults = {"augmentations": list(AUGMENTATIONS), "copies_per_clip": 1}
    return factories.settings(augment=defaults | RANGES | robustness | changes).augment


def augment_table(clips: Path, chosen: Augment) -> list[dict[str, Any]]:
    return [row for rows in augment_clips(clips, chosen, preprocess=PREPROCESS, seed=1) for row in rows]


def copies(name: str, n: int, *, signal: np.ndarray = TONE, **changes: Any) -> list[np.ndarray]:
    common: dict[str, Any] = {"settings": settings(**changes), "preprocess": PLAIN, "seed": 1, "clip_id": "a"}
    return [augment(signal, name, copy_index=index, **common) for index in range(1, n + 1)]


WHITE = noise(seconds=1, level_db=-23, seed=1)
CLICK = np.concatenate([[np.float32(0.5)], silence(1.5)])


def bandwidth(signal: np.ndarray) -> float:
    """Find the frequency in Hz below which 99 % of the energy of a signal is."""
    energy = np.abs(np.fft.rfft(signal)) ** 2
    return float(np.searchsorted(np.cumsum(energy) / energy.sum(), 0.99)) / len(signal) * RATE


def decay_time(signal: np.ndarray) -> float:
    """Find the time in seconds from the direct sound to the end of the reverberation."""
    return float(np.flatnonzero(np.abs(signal) > 1e-7)[-1]) / RATE


@pytest.mark.parametrize(
    ("name", "key", "signal", "measure", "tolerance"),
    [
        ("noise", "noise_snr_db", TONE, lambda copy: level_db(TONE) - level_db(copy - TONE), 0.2),
        ("band_limit", "band_high_hz", WHITE, bandwidth, 400),
        ("reverberation", "rt60_seconds", CLICK, decay_time, 0.1),
        ("time_stretch", "time_stretch_rate", TONE, lambda copy: len(TONE) / len(copy), 0.005),
        ("pitch_shift", "pitch_shift_semitones", TONE, lambda copy: 12 * np.log2(pitch(copy) / 440), 0.05),
        ("time_shift", "time_shift_fraction", IMPULSE, lambda copy: (copy.argmax() - 4000) / len(IMPULSE), 0.001),
        ("speed", "speed_factor", TONE, lambda copy: len(TONE) / len(copy), 0.005),
    ],
    ids=AUGMENTATIONS,
)
def test_strength_is_within_the_range(
    name: str, key: str, signal: np.ndarray, measure: Callable[[np.ndarray], float], tolerance: float
) -> None:
    """Values cover most of the range, and a range of equal limits gives that value."""
    values = [measure(copy) for copy in copies(name, 24, signal=signal)]
    low, high = RANGES[key]["min"], RANGES[key]["max"]
    assert low - tolerance <= min(values) < low + 0.3 * (high - low)
    assert high - 0.3 * (high - low) < max(values) <= high + tolerance
    [copy] = copies(name, 1, signal=signal, **{key: {"min": high, "max": high}})
    assert measure(copy) == pytest.approx(high, abs=tolerance)


def test_number_of_copies() -> None:
    """Speed perturbation multiplies its number of copies; without copies there are none of it either."""
    chosen = settings(copies_per_clip=2, speed_perturb_copies=3)
    assert [chosen.n_copies(name) for name in ("noise", "speed")] == [2, 6]
    assert settings(copies_per_clip=0).n_copies("speed") == 0


def test_time_shift_does_not_wrap_around() -> None:
    """A clip shifted by a tenth starts with silence and loses its end."""
    [copy] = copies("time_shift", 1, time_shift_fraction={"min": 0.1, "max": 0.1})
    assert np.abs(copy[:800]).max() == 0
    np.testing.assert_allclose(copy[1000:], TONE[200:-800], atol=1e-6)  # after a fade of 5 ms


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_copy_is_a_function_of_seed_clip_and_number(name: str) -> None:
    """The order of the calls has no influence, and each of the three changes the samples."""
    keys = [(seed, clip_id, index) for seed in (1, 2) for clip_id in ("a", "b") for index in (1, 2)]
    chosen = settings()

    def run(key: tuple[int, str, int]) -> bytes:
        seed, clip_id, index = key
        return augment(
            TONE, name, settings=chosen, preprocess=PLAIN, seed=seed, clip_id=clip_id, copy_index=index
        ).tobytes()

    forward = {key: run(key) for key in keys}
    assert {key: run(key) for key in reversed(keys)} == forward
    assert len(set(forward.values())) == len(keys)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_global_random_state_has_no_influence_and_is_restored(name: str) -> None:
    """The transforms draw from the global generators."""
    results = []
    for seed in (3, 4):
        random.seed(seed)
        np.random.seed(seed)
        python, numpy = random.getstate(), np.random.get_state()
        results.append(copies(name, 1)[0].tobytes())
        assert random.getstate() == python
        assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy, strict=True))
    assert results[0] == results[1]


def test_global_random_state_is_restored_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transform that fails leaves the generators unchanged."""

    def fail(samples: np.ndarray, sample_rate: int) -> None:
        raise RuntimeError(f"{random.random()}, {np.random.random()}")

    monkeypatch.setattr(training, "make_transform", lambda *_args, **_options: fail)
    before = random.getstate(), np.random.get_state()[2]
    with pytest.raises(RuntimeError):
        copies("noise", 1)
    assert (random.getstate(), np.random.get_state()[2]) == before


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_peak_is_below_full_scale(name: str) -> None:
    """Copies of a signal at full scale are finite float32 and do not clip."""
    [copy] = copies(name, 1, signal=sine(440, amplitude=0.99), noise_snr_db={"min": 0, "max": 0})
    assert np.abs(copy).max() <= 0.9901
    assert copy.dtype == np.float32
    assert np.isfinite(copy).all()


def test_copies_inherit_the_metadata_of_their_original(tmp_path: Path) -> None:
    """Rows are sorted by clip_id, also beyond nine copies, and have a length and audio of their own."""
    names = ravdess_names(2)
    write_clip_table(tmp_path / "clips.parquet", dict.fromkeys(names, TONE))
    chosen = settings(augmentations=["time_stretch", "noise"], copies_per_clip=12)
    made = pd.DataFrame(augment_table(tmp_path / "clips.parquet", chosen))
    suffixes = sorted(f"{name}.{n}" for name in ("noise", "time_stretch") for n in range(1, 13))
    assert list(made.clip_id) == [f"ravdess/{name}+{suffix}" for name in names for suffix in suffixes]
    assert list(made.augmentation) == [suffix.split(".")[0] for suffix in suffixes] * 2
    assert list(made.n_samples) == [len(audio_io.from_flac(content)) for content in made.audio]
    inherited = ["corpus", "speaker", "sex", "language", "emotion", "sentence", "original_id", "sample_rate"]
    originals = pd.read_parquet(tmp_path / "clips.parquet").set_index("clip_id", drop=False)
    expected = originals.loc[made.original_id, inherited].reset_index(drop=True)
    pd.testing.assert_frame_equal(made[inherited], expected, check_dtype=False)
    assert made.audio.nunique() == len(made)


def test_corrupted_clips(tmp_path: Path) -> None:
    """The number of clips in the settings has a copy per corruption; training copies do not change."""
    clips = tmp_path / "clips.parquet"
    write_clip_table(clips, dict.fromkeys(ravdess_names(6), TONE))
    made = pd.DataFrame(augment_table(clips, settings(corrupted=2, augmentations=["noise", "time_shift"])))
    corrupted = made[made.augmentation.str.startswith("robustness_")]
    names = corrupted.groupby("original_id").augmentation.agg(list).to_list()
    assert names == [["robustness_noise_10db", "robustness_telephone"]] * 2
    assert list(made.clip_id) == sorted(made.clip_id)
    training = augment_table(clips, settings(augmentations=["noise", "time_shift"]))
    pd.testing.assert_frame_equal(made.drop(index=corrupted.index).reset_index(drop=True), pd.DataFrame(training))


def test_unusable_corrupted_clips_are_omitted(tmp_path: Path) -> None:
    """A clip that is too short has no corrupted clips, and no augmentations give no rows."""
    clips = tmp_path / "clips.parquet"
    short, valid = ravdess_names(2)
    write_clip_table(clips, {short: TONE[:800], valid: TONE})
    made = pd.DataFrame(augment_table(clips, settings(corrupted=2, augmentations=[])))
    assert set(made.original_id) == {f"ravdess/{valid}"}
    assert augment_table(clips, settings(copies_per_clip=0)) == augment_table(clips, settings(augmentations=[])) == []


def test_table_does_not_depend_on_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes write the same bytes as one."""
    clips = tmp_path / "clips.parquet"
    write_clip_table(clips, {name: noise(seconds=0.35, seed=n) for n, name in enumerate(ravdess_names(130))})
    chosen = settings(augmentations=["noise", "pitch_shift"], corrupted=20)
    for workers in ("1", "2"):
        monkeypatch.setenv("SER_WORKERS", workers)
        with clip_writer(tmp_path / f"{workers}.parquet", payload=AUDIO) as write:
            write(augment_table(clips, chosen))
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert len(pd.read_parquet(tmp_path / "2.parquet")) == 260 + 40
