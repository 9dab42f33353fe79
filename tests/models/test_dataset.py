"""Models get the right features with the right labels, and copies in training only."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.dataset import splits
from ser.features.store import Frames
from ser.models import dataset as training_data
from ser.models import trainer
from ser.models.dataset import Dataset
from ser.utils.errors import UserError
from tests.helpers import factories

CLIPS = factories.with_copies(factories.joined(factories.ravdess(actors=range(1, 7)), factories.tess(n_words=8)))
CLASSES = ["neutral", "happy", "sad"]
CORPORA = ["tess", "ravdess"]


def marks(table: pd.DataFrame) -> np.ndarray:
    """Give each clip two numbers that are its own: (clips, 2)."""
    n = table.clip_id.rank().to_numpy()
    return np.stack([n, -n], axis=1).astype(np.float32)


def matrices(table: pd.DataFrame) -> list[np.ndarray]:
    """Give each clip one to seven frames that are its own."""
    return [np.arange(1, 2 + row[0] % 7)[:, None] * row for row in marks(table)]


def split() -> pd.DataFrame:
    chosen = factories.emotions(*CLASSES, calm="neutral")
    return splits.split_clips(CLIPS, factories.split("speaker_independent"), emotions=chosen, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold the feature tables of both corpora and their split, as stages leave them."""
    path: Path = tmp_path_factory.mktemp("data")
    factories.write_features(path / "frames", CLIPS, payload="frames", values=matrices(CLIPS))
    factories.write_features(path / "functionals", CLIPS, payload="functionals", values=list(marks(CLIPS)))
    split().to_csv(path / "splits.csv", index=False)
    return path


def read(folder: Path, *, payload: str = "functionals", augmented: bool = True) -> Dataset:
    return training_data.read(folder / payload, CORPORA, folder / "splits.csv", augmented=augmented)


def expected(*subsets: str, augmented: bool = True) -> pd.DataFrame:
    """Pick rows by hand: clips of the splits and, for training, their copies."""
    assigned = split().set_index("clip_id").split
    rows = CLIPS.assign(split=CLIPS.original_id.map(assigned))
    copy = rows.augmentation != ""
    return rows[rows.split.isin(subsets) & (~copy | (augmented & (rows.split == "train")))]


@pytest.mark.parametrize("subsets", [("train",), ("val",), ("test",), ("val", "test")])
@pytest.mark.parametrize("augmented", [True, False])
def test_features_belong_to_their_clips(folder: Path, subsets: tuple[str, ...], augmented: bool) -> None:
    """Clips, labels, matrices and vectors of a split are of the same clips in the same order, across corpora."""
    rows = expected(*subsets, augmented=augmented)
    assert set(rows.corpus) == set(CORPORA)
    data = read(folder, augmented=augmented)
    assert list(data.clips(*subsets).clip_id) == list(rows.clip_id)
    all_marks = pd.Series(list(marks(CLIPS)), index=CLIPS.clip_id)
    np.testing.assert_array_equal(data.functionals(*subsets), np.stack(list(all_marks[rows.clip_id])))
    frames = read(folder, payload="frames", augmented=augmented).frames(*subsets)
    all_matrices = dict(zip(CLIPS.clip_id, matrices(CLIPS), strict=True))
    for clip_id, matrix in zip(rows.clip_id, frames, strict=True):
        np.testing.assert_array_equal(matrix, all_matrices[clip_id])


def test_functionals_beside_frames_are_of_the_same_clips(folder: Path) -> None:
    """A model that sees both gets both of each clip, and its card names the columns of both."""
    where = {"beside": folder / "functionals", "augmented": True}
    data = training_data.read(folder / "frames", CORPORA, folder / "splits.csv", **where)
    for matrix, vector in zip(data.frames("train"), data.functionals("train"), strict=True):
        np.testing.assert_array_equal(matrix[0], vector)
    names = data.card()["beside"]
    assert len(names) == data.functionals("val").shape[1]
    settings = factories.settings().train_lstm.model_copy(update={"dynamic_functionals": (names[-1],)})
    assert trainer.examples(data, settings, "val").seen.dynamics == [(len(names) - 1, len(names))]
    columns = data.card()["features"]
    kinds = list(dict.fromkeys(name.partition(".")[0] for name in columns))
    assert len(kinds) > 1
    settings = settings.model_copy(
        update={"spectral_features": tuple(kinds[:1]), "prosody_features": (*kinds[1:], "none")}
    )
    seen = data.seen(settings)
    for spans, wanted in ((seen.spectral, settings.spectral_features), (seen.prosody, settings.prosody_features)):
        found = [name for start, stop in spans for name in columns[start:stop]]
        assert found == [name for name in columns if name.partition(".")[0] in wanted]
    assert read(folder, payload="frames").card()["beside"] == []


def test_frames_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many splits are asked for, and in whatever combination, the tables are gone through a single time."""
    seen: list[int] = []
    read_frames = training_data.feature_store.read_frames

    def counted(paths: Sequence[Path], *, clip_ids: Sequence[str], kinds: Sequence[str] | None) -> Frames:
        seen.append(len(clip_ids))
        return read_frames(paths, clip_ids=clip_ids, kinds=kinds)

    monkeypatch.setattr(training_data.feature_store, "read_frames", counted)
    data = read(folder, payload="frames")
    lengths = {subset: data.frames(subset).lengths.tolist() for subset in ("train", "val", "test")}
    assert sorted(data.frames("val", "test").lengths) == sorted(lengths["val"] + lengths["test"])
    assert seen == [data.table.clip_id.nunique()]


def test_folds_share_what_was_read(folder: Path, two_folds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five folds do not read, or keep, features five times."""
    seen: list[int] = []
    read_functionals = training_data.feature_store.read_functionals

    def counted(paths: Sequence[Path], *, clip_ids: Sequence[str]) -> np.ndarray:
        seen.append(len(clip_ids))
        return read_functionals(paths, clip_ids=clip_ids)

    monkeypatch.setattr(training_data.feature_store, "read_functionals", counted)
    data = training_data.read(folder / "functionals", CORPORA, two_folds, augmented=True)
    for number in data.folds:
        data.fold(number).functionals("train")
    assert seen == [data.table.clip_id.nunique()]


@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_labels_are_positions_in_the_classes(folder: Path, subset: str) -> None:
    """A label is the place of the clip's class, after merging, among the run's classes in canonical order."""
    data = read(folder)
    assert data.classes == CLASSES
    merged = expected(subset).emotion.replace("calm", "neutral")
    assert [CLASSES[label] for label in data.labels(subset)] == list(merged)
    assert data.labels(subset).dtype == np.int64


@pytest.mark.parametrize("augmented", [True, False])
def test_copies_are_trained_on_where_wanted(folder: Path, augmented: bool) -> None:
    """Training has two copies a clip or none; validation and test have none in any case."""
    data = read(folder, augmented=augmented)
    originals = data.clips("train").augmentation.eq("").sum()
    assert len(data.clips("train")) == originals * (3 if augmented else 1)
    assert set(data.clips("val", "test").augmentation) == {""}


def test_a_corpus_that_was_dropped_is_not_read(folder: Path, tmp_path: Path) -> None:
    """A table that an earlier run left on disk has no place in a run without its corpus."""
    made = split()
    made[made.clip_id.str.startswith("tess")].to_csv(tmp_path / "splits.csv", index=False)
    data = training_data.read(folder / "functionals", ["tess"], tmp_path / "splits.csv", augmented=True)
    assert set(data.table.corpus) == {"tess"}


def test_the_card_says_how_a_model_was_trained(folder: Path) -> None:
    """A saved model is known by its classes, its input columns and its training speakers."""
    card = read(folder).card()
    assert card["classes"] == CLASSES
    assert card["features"] == ["a", "b"]
    assert card["training_clips"] == len(expected("train"))
    assert card["training_speakers"] == sorted(expected("train").speaker.unique())


@pytest.fixture(scope="module")
def two_folds(folder: Path) -> Path:
    """Hold a split of two folds, in the second of which validation and test have changed places."""
    path = folder / "two_folds"
    second = split().assign(fold=2).replace({"split": {"val": "test", "test": "val"}})
    path.mkdir()
    pd.concat([split(), second]).sort_values(["clip_id", "fold"]).to_csv(path / "splits.csv", index=False)
    return path / "splits.csv"


@pytest.mark.parametrize("payload", ["functionals", "frames"])
def test_a_fold_is_a_dataset_of_its_own(folder: Path, two_folds: Path, payload: str) -> None:
    """In each fold every clip stands once, in that fold's split, with its own features."""
    data = training_data.read(folder / payload, CORPORA, two_folds, augmented=True)
    assert data.folds == [1, 2]
    swapped = {"train": "train", "val": "test", "test": "val"}
    for number in data.folds:
        fold = data.fold(number)
        assert fold.folds == [number]
        assert fold.classes == data.classes
        assert not fold.table.clip_id.duplicated().any()
        for subset in swapped:
            rows = expected(subset if number == 1 else swapped[subset])
            assert set(fold.clips(subset).clip_id) == set(rows.clip_id if subset == "train" else originals(rows))
            assert first_numbers(fold, subset, payload=payload) == own_numbers(fold.clips(subset).clip_id)


def originals(rows: pd.DataFrame) -> list[str]:
    return list(rows.clip_id[rows.augmentation == ""])


def first_numbers(data: Dataset, subset: str, *, payload: str) -> list[float]:
    return (
        data.functionals(subset)[:, 0].tolist() if payload == "functionals" else [m[0, 0] for m in data.frames(subset)]
    )


def own_numbers(clip_ids: "pd.Series[str]") -> list[float]:
    return list(pd.Series(marks(CLIPS)[:, 0], index=CLIPS.clip_id)[clip_ids])


def test_a_missing_feature_table(folder: Path) -> None:
    """The error names the table and says what makes it."""
    with pytest.raises(UserError, match=r"functionals/savee\.parquet was not found; run `dvc repro`"):
        training_data.read(folder / "functionals", ["savee"], folder / "splits.csv", augmented=True)


def test_a_missing_split(folder: Path) -> None:
    """The error says which stage makes it."""
    with pytest.raises(UserError, match=r"none\.csv was not found; run `dvc repro split`"):
        training_data.read(folder / "functionals", CORPORA, folder / "none.csv", augmented=True)


def test_a_split_of_other_columns(folder: Path, tmp_path: Path) -> None:
    """A table that some other program wrote is refused with what it has and what was expected."""
    split().rename(columns={"split": "set"}).to_csv(tmp_path / "splits.csv", index=False)
    with pytest.raises(UserError, match=r"splits\.csv: columns are .*'set'.* expected .*'split'"):
        training_data.read(folder / "functionals", CORPORA, tmp_path / "splits.csv", augmented=True)


def test_a_split_of_clips_without_features(folder: Path) -> None:
    """A split that lists a clip which has no features is refused with the first such clip."""
    with pytest.raises(UserError, match=r"splits\.csv lists ravdess/03-01-01-01-01-01-0\d, which has no features"):
        training_data.read(folder / "functionals", ["tess"], folder / "splits.csv", augmented=True)


def test_corpora_of_different_features(folder: Path, tmp_path: Path) -> None:
    """Tables that were measured with different settings are not mixed."""
    for corpus, names in (("ravdess", '["a", "b"]'), ("tess", '["a", "c"]')):
        rows = CLIPS[CLIPS.corpus == corpus]
        factories.write_features(tmp_path, rows, payload="functionals", values=list(marks(rows)), names=names)
    data = training_data.read(tmp_path, CORPORA, folder / "splits.csv", augmented=True)
    with pytest.raises(UserError, match="hold different features"):
        data.card()
