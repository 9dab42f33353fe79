"""Feature tables hold what features say of every clip and copy, in order, whoever reads them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.dataset.clips import AUDIO, clip_writer, read_clips
from ser.utils.files import remove
from tests.helpers.measured import NAMES, measure_each, write_features, write_folder
from tests.helpers.signals import noise, write_clip_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, np.ndarray]:
    return measure_each(folder)


def written(folder: Path) -> dict[str, bytes]:
    """Read every file of the feature tables of a folder."""
    files = [*sorted((folder / "frames.parquet").iterdir()), folder / "functionals.parquet"]
    return {file.name: file.read_bytes() for file in files}


def test_originals_and_copies_are_merged_in_order(folder: Path) -> None:
    """Both tables hold every clip, each original before its copies, with the columns of the clips they came from."""
    clips = read_clips([folder / "clips.parquet", folder / "copies.parquet"])
    assert list(clips.clip_id) == [f"ravdess/{name}{copy}" for name in NAMES for copy in ("", "+noise.1")]
    for name in ("frames.parquet", "functionals.parquet"):
        stored = pd.read_parquet(folder / name)
        pd.testing.assert_frame_equal(stored[list(clips.columns)], clips, check_dtype=False)


def test_pandas_reads_the_tables(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """The files need nothing of this project: frames and functionals are lists in a data frame."""
    clip_id = f"ravdess/{NAMES[1]}"
    frames = pd.read_parquet(folder / "frames.parquet").set_index("clip_id").frames[clip_id]
    vector = pd.read_parquet(folder / "functionals.parquet").set_index("clip_id").functionals[clip_id]
    np.testing.assert_allclose(np.stack(frames), expected[clip_id], rtol=1e-5, atol=1e-5)
    assert vector.shape == (10,)


def test_without_copies_the_originals_are_measured(tmp_path: Path) -> None:
    """Where augmentation is off, the table of copies is empty and that of features is not."""
    write_clip_table(tmp_path / "clips.parquet", {NAMES[0]: noise(seconds=0.1)})
    with clip_writer(tmp_path / "copies.parquet", payload=AUDIO):
        pass
    frames, vectors = write_features(tmp_path)
    assert len(pd.read_parquet(frames)) == len(pd.read_parquet(vectors)) == 1


def test_any_number_of_workers_writes_the_same_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes leave the files, byte for byte, that one left."""
    before = written(folder)
    monkeypatch.setenv("SER_WORKERS", "2")
    remove(folder / "frames.parquet")
    write_features(folder)
    assert written(folder) == before
    assert len(before) > 2
