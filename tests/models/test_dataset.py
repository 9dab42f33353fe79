"""Models get the features and labels of the right clips, and augmented clips in training only."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.dataset import splits
from ser.models import dataset as training_data
from ser.models import trainer
from ser.models.dataset import Dataset
from ser.utils.errors import UserError
from tests.helpers import factories

CLIPS = factories.with_copies(factories.joined(factories.ravdess(actors=range(1, 7)), factories.tess(n_words=8)))
CLASSES = ["neutral", "happy", "sad"]
CORPORA = ["tess", "ravdess"]
SPLIT = splits.split_clips(
    CLIPS, factories.split("speaker_independent"), emotions=factories.emotions(*CLASSES, calm="neutral"), seed=1
)
SWAPPED = {"train": "train", "val": "test", "test": "val"}
NUMBER = CLIPS.clip_id.rank().to_numpy()
VECTORS = dict(zip(CLIPS.clip_id, np.stack([NUMBER, -NUMBER], axis=1).astype(np.float32), strict=True))
"""Two numbers that identify the clip."""
MATRICES = {clip_id: np.arange(1, 2 + vector[0] % 7)[:, None] * vector for clip_id, vector in VECTORS.items()}
"""One to seven frames that identify the clip."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write feature tables of both corpora, and a split of two folds, whose validation and test sets are swapped."""
    path: Path = tmp_path_factory.mktemp("data")
    factories.write_features(path / "frames", CLIPS, payload="frames", values=list(MATRICES.values()))
    factories.write_features(path / "functionals", CLIPS, payload="functionals", values=list(VECTORS.values()))
    both = pd.concat([SPLIT, SPLIT.assign(fold=2).replace({"split": SWAPPED})])
    both.sort_values(["clip_id", "fold"]).to_csv(path / "splits.csv", index=False)
    return path


def read(folder: Path, *, payload: str = "functionals", augmented: bool = True, **options: Any) -> Dataset:
    options = {"corpora": CORPORA, "split_table": folder / "splits.csv"} | options
    return training_data.read(folder / payload, augmentations=None if augmented else (), **options)


def expected(*subsets: str, augmented: bool = True, fold: int = 1) -> pd.DataFrame:
    """Select the clips of some splits and, for training, their copies."""
    assigned = SPLIT.set_index("clip_id").split
    rows = CLIPS.assign(split=CLIPS.original_id.map(assigned if fold == 1 else assigned.map(SWAPPED)))
    return rows[rows.split.isin(subsets) & ((rows.augmentation == "") | (augmented & (rows.split == "train")))]


@pytest.mark.parametrize("fold", [1, 2])
@pytest.mark.parametrize("augmented", [True, False])
@pytest.mark.parametrize("subsets", [("train",), ("val",), ("test",), ("val", "test")])
def test_features_and_labels_belong_to_the_clips(
    folder: Path, subsets: tuple[str, ...], augmented: bool, fold: int
) -> None:
    """Clips, labels, frames and functionals of a split are in the same order, across corpora."""
    rows = expected(*subsets, augmented=augmented, fold=fold)
    assert set(rows.corpus) == set(CORPORA)
    data = read(folder, augmented=augmented)
    assert data.folds == [1, 2]
    assert data.classes == CLASSES
    data = data.fold(fold)
    assert data.folds == [fold]
    assert list(data.clips(*subsets).clip_id) == list(rows.clip_id)
    assert [CLASSES[label] for label in data.labels(*subsets)] == list(rows.emotion.replace("calm", "neutral"))
    assert data.labels(*subsets).dtype == np.int64
    np.testing.assert_array_equal(data.functionals(*subsets), [VECTORS[clip_id] for clip_id in rows.clip_id])
    frames = read(folder, payload="frames", augmented=augmented).fold(fold).frames(*subsets)
    for clip_id, matrix in zip(rows.clip_id, frames, strict=True):
        np.testing.assert_array_equal(matrix, MATRICES[clip_id])


def test_frames_and_functionals_of_the_same_clips(folder: Path) -> None:
    """A model that uses both gets both of each clip, and the columns of each branch."""
    data = read(folder, payload="frames", functionals_dir=folder / "functionals")
    for matrix, vector in zip(data.frames("train"), data.functionals("train"), strict=True):
        np.testing.assert_array_equal(matrix[0], vector)
    changes = {"dynamic_functionals": ("b",), "spectral_features": ("a",), "prosody_features": ("b", "none")}
    settings = factories.settings().train_lstm.model_copy(update=changes)
    inputs = trainer.load_examples(data, settings, "val").branch_inputs
    assert (inputs.spectral, inputs.prosody, inputs.dynamics) == ([(0, 1)], [(1, 2)], [(1, 2)])


def test_metadata(folder: Path) -> None:
    """Metadata name the classes, the input columns and the training speakers."""
    assert read(folder).fold(1).metadata() == {
        "classes": CLASSES,
        "features": ["a", "b"],
        "functionals": [],
        "training_clips": len(expected("train")),
        "training_speakers": sorted(expected("train").speaker.unique()),
    }
    both = read(folder, payload="frames", functionals_dir=folder / "functionals")
    assert both.metadata()["functionals"] == ["a", "b"]


def test_tables_are_read_once(folder: Path) -> None:
    """All splits of all folds share the features."""
    data = read(folder, payload="frames", functionals_dir=folder / "functionals")
    features = [(fold.frames("train").file, fold.store.functionals) for fold in map(data.fold, data.folds)]
    assert all(one is other for one, other in zip(*features, strict=True))


def test_missing_and_unexpected_tables(folder: Path, tmp_path: Path) -> None:
    """Errors name the file or clip that is missing, or the columns that differ, and how to fix it."""
    SPLIT.rename(columns={"split": "set"}).to_csv(tmp_path / "splits.csv", index=False)
    for options, message in (
        ({"corpora": ["savee"]}, r"functionals/savee\.parquet .*`dvc repro`"),
        ({"split_table": folder / "none.csv"}, r"none\.csv .*`dvc repro split`"),
        ({"split_table": tmp_path / "splits.csv"}, r"splits\.csv: .*'set'.* expected .*'split'"),
        ({"corpora": ["tess"]}, r"splits\.csv lists ravdess/03-01-01-01-01-01-0\d.*`dvc repro`"),
    ):
        with pytest.raises(UserError, match=message):
            read(folder, **options)
