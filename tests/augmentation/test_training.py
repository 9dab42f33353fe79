"""Copies are altered by as much as the settings say, and depend on (seed, clip, copy) and on nothing else."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.audio import io as audio_io
from ser.augmentation.training import AUGMENTATIONS, augment, augment_clips
from ser.dataset.clips import AUDIO, clip_writer
from ser.params import Augment
from tests.helpers import factories
from tests.helpers.signals import RATE, level_db, noise, pitch, ravdess_names, silence, sine, write_clip_table

TONE = sine(440, seconds=0.5, amplitude=0.2)
RANGES = {
    "noise_snr_db": {"min": 10, "max": 30},
    "time_stretch_rate": {"min": 0.85, "max": 1.15},
    "pitch_shift_semitones": {"min": -2, "max": 2},
    "time_shift_fraction": {"min": -0.1, "max": 0.1},
    "speed_factor": {"min": 0.8, "max": 1.25},
}


ROBUSTNESS = {"n_clips": 0, "noise_snr_db": [10], "telephone": True, "rt60_seconds": [], "gain_db": []}
PREPROCESS = factories.settings().preprocess


def settings(*, corrupted: int = 0, **changes: Any) -> Augment:
    """Make the section `augment`, with as many clips for testing as are `corrupted`."""
    robustness = {"robustness": ROBUSTNESS | {"n_clips": corrupted}}
    usual = {"augmentations": list(AUGMENTATIONS), "copies_per_clip": 1}
    return factories.settings(augment=usual | RANGES | robustness | changes).augment


def make(clips: Path, chosen: Augment) -> list[dict[str, Any]]:
    return [row for rows in augment_clips(clips, chosen, preprocess=PREPROCESS, seed=1) for row in rows]


def copies(kind: str, n: int, *, signal: np.ndarray = TONE, **changes: Any) -> list[np.ndarray]:
    """Make several copies of one kind, in other ranges where `changes` says so."""
    chosen = settings(**changes)
    return [augment(signal, kind, settings=chosen, rate=RATE, seed=1, clip_id="a", copy=n) for n in range(1, n + 1)]


def signal_to_noise_db(copy: np.ndarray) -> float:
    return level_db(TONE) - level_db(copy - TONE)


def stretch_rate(copy: np.ndarray) -> float:
    return len(TONE) / len(copy)


def semitones(copy: np.ndarray) -> float:
    return float(12 * np.log2(pitch(copy) / 440))


IMPULSE = np.concatenate([silence(0.25), [np.float32(0.5)], silence(0.25)])


def shift_share(copy: np.ndarray) -> float:
    return (int(np.abs(copy).argmax()) - 4000) / len(IMPULSE)


MEASURES: list[tuple[str, str, np.ndarray, Callable[[np.ndarray], float], float]] = [
    ("noise", "noise_snr_db", TONE, signal_to_noise_db, 0.2),
    ("time_stretch", "time_stretch_rate", TONE, stretch_rate, 0.005),
    ("pitch_shift", "pitch_shift_semitones", TONE, semitones, 0.05),
    ("time_shift", "time_shift_fraction", IMPULSE, shift_share, 0.001),
    ("speed", "speed_factor", TONE, stretch_rate, 0.005),
]
measured = pytest.mark.parametrize(
    ("kind", "key", "signal", "measure", "tolerance"), MEASURES, ids=[row[0] for row in MEASURES]
)


@measured
def test_copies_lie_within_the_range(
    kind: str, key: str, signal: np.ndarray, measure: Callable[[np.ndarray], float], tolerance: float
) -> None:
    """Signal-to-noise ratio, tempo, pitch and shift fall into the range of the settings, and use most of it."""
    values = [measure(copy) for copy in copies(kind, 24, signal=signal)]
    low, high = RANGES[key]["min"], RANGES[key]["max"]
    assert low - tolerance <= min(values) < low + 0.3 * (high - low)
    assert high - 0.3 * (high - low) < max(values) <= high + tolerance


@measured
def test_a_range_of_one_value_is_met(
    kind: str, key: str, signal: np.ndarray, measure: Callable[[np.ndarray], float], tolerance: float
) -> None:
    """A range whose ends are equal gives that value."""
    value = RANGES[key]["max"]
    (copy,) = copies(kind, 1, signal=signal, **{key: {"min": value, "max": value}})
    assert measure(copy) == pytest.approx(value, abs=tolerance)


def test_stretching_keeps_pitch_and_shifting_pitch_keeps_length() -> None:
    """Each changes one thing: tempo or pitch."""
    assert [pitch(copy) for copy in copies("time_stretch", 4)] == pytest.approx([440] * 4, abs=1)
    for kind in ("pitch_shift", "time_shift", "noise"):
        assert [len(copy) for copy in copies(kind, 4)] == [len(TONE)] * 4, kind


def test_speed_moves_pitch_with_tempo() -> None:
    """A clip played faster is higher by as much as it is shorter."""
    for copy in copies("speed", 5):
        assert pitch(copy) / 440 == pytest.approx(stretch_rate(copy), rel=0.01)


def test_there_may_be_more_copies_of_speed_than_of_others() -> None:
    """As many times as `speeds` says; and none where there are none of the others."""
    assert [settings(copies_per_clip=2, speed_perturb_copies=3).n_copies(kind) for kind in ("noise", "speed")] == [2, 6]
    assert settings(copies_per_clip=0).n_copies("speed") == 0


def test_what_is_shifted_out_does_not_come_back() -> None:
    """Shifted by a tenth, a clip begins with a tenth of silence and ends nowhere but within itself."""
    (copy,) = copies("time_shift", 1, time_shift_fraction={"min": 0.1, "max": 0.1})
    assert np.abs(copy[:800]).max() == 0
    np.testing.assert_allclose(copy[1000:], TONE[200:-800], atol=1e-6)  # after a fade of 5 ms


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_a_copy_depends_on_seed_clip_and_number_alone(kind: str) -> None:
    """The same copy is the same samples in whatever order copies are made; any other differs."""
    keys = [(seed, clip_id, copy) for seed in (1, 2) for clip_id in ("a", "b") for copy in (1, 2)]
    chosen = settings()

    def make(key: tuple[int, str, int]) -> bytes:
        seed, clip_id, copy = key
        return augment(TONE, kind, settings=chosen, rate=RATE, seed=seed, clip_id=clip_id, copy=copy).tobytes()

    forward = {key: make(key) for key in keys}
    assert {key: make(key) for key in reversed(keys)} == forward
    assert len(set(forward.values())) == len(keys)


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_global_random_state_neither_matters_nor_changes(kind: str) -> None:
    """The generators that audiomentations draws from are left as found, and what they held does not matter."""
    made = []
    for seed in (3, 4):
        random.seed(seed)
        np.random.seed(seed)
        python, numpy = random.getstate(), np.random.get_state()
        made.append(copies(kind, 1)[0].tobytes())
        assert random.getstate() == python
        assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy, strict=True))
    assert made[0] == made[1]


def test_global_random_state_is_put_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a transform that fails leaves the generators as they were."""

    def fail(samples: np.ndarray, sample_rate: int) -> None:
        raise RuntimeError(f"{random.random()}, {np.random.random()}")

    monkeypatch.setitem(AUGMENTATIONS, "noise", lambda _settings, _rate: fail)
    before = random.getstate(), np.random.get_state()[2]
    with pytest.raises(RuntimeError):
        copies("noise", 1)
    assert (random.getstate(), np.random.get_state()[2]) == before


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_no_copy_passes_full_scale(kind: str) -> None:
    """A signal that fills the scale stays below it, as 32-bit floats, whatever is added to it."""
    (copy,) = copies(kind, 1, signal=sine(440, amplitude=0.99), noise_snr_db={"min": 0, "max": 0})
    assert np.abs(copy).max() <= 0.9901
    assert copy.dtype == np.float32
    assert np.isfinite(copy).all()


def test_copies_are_clips_of_their_source(tmp_path: Path) -> None:
    """Copies come sorted by clip_id, also beyond nine, inherit what their original is, and count their own samples."""
    names = ravdess_names(2)
    write_clip_table(tmp_path / "clips.parquet", dict.fromkeys(names, TONE))
    chosen = settings(augmentations=["time_stretch", "noise"], copies_per_clip=12)
    made = pd.DataFrame(make(tmp_path / "clips.parquet", chosen))
    kinds = sorted(f"{kind}.{n}" for kind in ("noise", "time_stretch") for n in range(1, 13))
    assert list(made.clip_id) == [f"ravdess/{name}+{kind}" for name in names for kind in kinds]
    assert list(made.augmentation) == [kind.split(".")[0] for kind in kinds] * 2
    assert list(made.n_samples) == [len(audio_io.from_flac(content)) for content in made.audio]
    inherited = ["corpus", "speaker", "sex", "language", "emotion", "sentence", "original_id", "sample_rate"]
    sources = pd.read_parquet(tmp_path / "clips.parquet").set_index("clip_id", drop=False)
    expected = sources.loc[made.original_id, inherited].reset_index(drop=True)
    pd.testing.assert_frame_equal(made[inherited], expected, check_dtype=False)
    assert made.audio.nunique() == len(made)


def test_no_copies_are_an_empty_table(tmp_path: Path) -> None:
    """Where no copy is asked for, none is made."""
    write_clip_table(tmp_path / "clips.parquet", {ravdess_names(1)[0]: TONE})
    for chosen in (settings(copies_per_clip=0), settings(augmentations=[])):
        assert make(tmp_path / "clips.parquet", chosen) == []


def test_some_clips_get_copies_for_testing(tmp_path: Path) -> None:
    """As many clips as asked for have a copy of each condition, sorted among the others, which are as without them."""
    names = ravdess_names(6)
    write_clip_table(tmp_path / "clips.parquet", dict.fromkeys(names, TONE))
    made = pd.DataFrame(make(tmp_path / "clips.parquet", settings(corrupted=2, augmentations=["noise", "time_shift"])))
    corrupted = made[made.augmentation.str.startswith("robustness_")]
    assert (
        corrupted.groupby("original_id").augmentation.agg(list).to_list()
        == [["robustness_noise_10db", "robustness_telephone"]] * 2
    )
    assert list(made.clip_id) == sorted(made.clip_id)
    without = make(tmp_path / "clips.parquet", settings(augmentations=["noise", "time_shift"]))
    pd.testing.assert_frame_equal(made.drop(index=corrupted.index).reset_index(drop=True), pd.DataFrame(without))


def test_an_altered_clip_that_is_unusable_is_left_out(tmp_path: Path) -> None:
    """A clip too short to be used makes no copies for testing, and the others do."""
    short, usual = ravdess_names(2)
    write_clip_table(tmp_path / "clips.parquet", {short: TONE[:800], usual: TONE})
    made = pd.DataFrame(make(tmp_path / "clips.parquet", settings(corrupted=2, augmentations=[])))
    assert set(made.original_id) == {f"ravdess/{usual}"}


def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of copies is the same file, byte for byte, made by one process or by two."""
    clips = tmp_path / "clips.parquet"
    write_clip_table(clips, {name: noise(seconds=0.35, seed=n) for n, name in enumerate(ravdess_names(130))})
    chosen = settings(augmentations=["noise", "pitch_shift"], corrupted=20)
    for workers in ("1", "2"):
        monkeypatch.setenv("SER_WORKERS", workers)
        with clip_writer(tmp_path / f"{workers}.parquet", payload=AUDIO) as write:
            write(make(clips, chosen))
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert len(pd.read_parquet(tmp_path / "2.parquet")) == 260 + 40
