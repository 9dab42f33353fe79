"""Test the training statistics of an exported model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.export import export as exporting
from ser.inference import quality_flags
from ser.inference.quality_flags import TrainingStatistics

N_SPEAKERS, PER_SPEAKER = 12, 20


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Make splits and clips whose three features are correlated; the vectors by clip_id."""
    rng, rows, vectors = np.random.default_rng(0), [], {}
    for speaker in range(N_SPEAKERS):
        split = "test" if speaker == 0 else "val" if speaker == 1 else "train"
        for n in range(PER_SPEAKER):
            clip_id = f"{speaker:02}_{n:02}"
            rows.append({"clip_id": clip_id, "fold": 1, "split": split, "speaker": str(speaker)})
            common, own = rng.normal(), rng.normal(size=3)
            vectors[clip_id] = 5 + 2 * (common + 0.1 * own)
    table = pd.DataFrame(rows).assign(recording_id=lambda clips: clips.clip_id)
    other = table.assign(fold=2, split=np.where(table.speaker == "2", "test", "train"))
    pd.concat([table, other]).drop(columns=["speaker", "recording_id"]).to_csv(tmp_path / "splits.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exporting, "read_clips", lambda _: table)
    frames = {clip_id: np.stack([vector - 1, vector + 1]) for clip_id, vector in vectors.items()}
    monkeypatch.setattr(
        exporting.feature_store, "read_frames", lambda _, clip_ids, kinds: [frames[clip_id] for clip_id in clip_ids]
    )
    monkeypatch.setattr(
        exporting.feature_store, "read_functionals", lambda _, clip_ids: np.stack([vectors[key] for key in clip_ids])
    )
    return vectors


def statistics(*kinds: str) -> TrainingStatistics:
    """Compute the statistics of fold 1."""
    return exporting.training_statistics((), Path("splits.csv"), fold=1, kinds=kinds)


def test_mean_and_std_are_those_of_training_clips(project: dict[str, np.ndarray]) -> None:
    """Neither validation nor test clips are part of them; functionals have no whitening matrix."""
    result = statistics()
    train = np.stack([vector for clip_id, vector in project.items() if clip_id[:2] not in ("00", "01")])
    np.testing.assert_allclose(result.mean, train.mean(axis=0))
    np.testing.assert_allclose(result.std, train.std(axis=0))
    assert (result.whitening.size, result.limits.shape) == (0, (1,))


def test_limits_do_not_depend_on_test_clips(project: dict[str, np.ndarray]) -> None:
    """They are the same if test clips differ, and higher if a validation speaker does."""
    before = statistics().limits
    for n in range(PER_SPEAKER):
        project[f"00_{n:02}"] += 100
    np.testing.assert_array_equal(statistics().limits, before)
    for n in range(PER_SPEAKER):
        project[f"01_{n:02}"] += 100
    assert statistics().limits > 2 * before


def test_few_clips_in_distribution_have_the_flag(project: dict[str, np.ndarray]) -> None:
    """Scores of other clips in distribution are rarely above 1; those of far clips and of new combinations are."""
    result, rng = statistics("mel"), np.random.default_rng(1)
    assert result.limits.shape == (2,)

    def scores(centers: np.ndarray) -> np.ndarray:
        return result.scores(quality_flags.clip_vectors([np.stack([center - 1, center + 1]) for center in centers]))

    usual = 5 + 2 * (rng.normal(size=(2000, 1)) + 0.1 * rng.normal(size=(2000, 3)))
    assert 0.005 < (scores(usual) > 1).mean() < 0.08
    far, combination = np.full((1, 3), 50.0), np.array([[7.0, 3.0, 7.0]])
    assert (scores(np.concatenate([far, combination])) > 1.5).all()
    without_whitening = statistics()
    assert without_whitening.scores(combination)[0] < 1 < without_whitening.scores(far)[0]


def test_one_outlying_segment_of_three_does_not_change_the_limits(
    project: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recordings, not segments, exceed the limits, as a prediction has the flag if most of its segments do."""
    table = exporting.read_clips(())
    recordings = table.clip_id.str[:3] + (table.clip_id.str[3:].astype(int) // 4).astype(str)
    monkeypatch.setattr(exporting, "read_clips", lambda _: table.assign(recording_id=recordings))
    before = statistics().limits
    for speaker in range(2, N_SPEAKERS):
        project[f"{speaker:02}_00"] = project[f"{speaker:02}_00"] * [1, 1, 40]
    segments = statistics().limits
    monkeypatch.setattr(exporting, "read_clips", lambda _: table)
    assert segments < 1.5 * before < statistics().limits


def test_one_speaker(project: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings are left out instead of speakers; constant features do not fail."""
    table = exporting.read_clips(())
    monkeypatch.setattr(exporting, "read_clips", lambda _: table.assign(speaker="unknown"))
    result = statistics("mel")  # the standard deviations over frames are constant
    assert np.isfinite(np.concatenate([result.limits, result.whitening.ravel()])).all()
    assert (result.limits > 0).all()


def test_statistics_are_kept_in_a_file(project: dict[str, np.ndarray], tmp_path: Path) -> None:
    """They are the same after writing and reading, to the precision of float32, and equal ones give equal files."""
    expected = statistics("mel")
    for name in ("a.npz", "b.npz"):
        expected.save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    for values, kept in zip(expected, TrainingStatistics.load(tmp_path / "a.npz"), strict=True):
        np.testing.assert_allclose(kept, values, rtol=1e-6, atol=1e-12)
