"""Feature tables hold the features of every clip and augmented clip, in order, for any number of workers."""

from pathlib import Path

import pandas as pd
import pytest

from ser.dataset.clips import AUDIO, clip_writer, read_clips
from tests.helpers.measured import NAMES, write_features
from tests.helpers.signals import noise, write_clip_table


def contents(folder: Path) -> dict[str, bytes]:
    files = [*sorted((folder / "frames.parquet").iterdir()), folder / "functionals.parquet"]
    return {file.name: file.read_bytes() for file in files}


def test_originals_precede_their_augmented_clips(folder: Path) -> None:
    """Both tables hold every clip with the columns of its clip table."""
    clips = read_clips([folder / "clips.parquet", folder / "copies.parquet"])
    assert list(clips.clip_id) == [f"ravdess/{name}{copy}" for name in NAMES for copy in ("", "+noise.1")]
    for name in ("frames.parquet", "functionals.parquet"):
        stored = pd.read_parquet(folder / name)
        pd.testing.assert_frame_equal(stored[list(clips.columns)], clips, check_dtype=False)


def test_without_augmented_clips(tmp_path: Path) -> None:
    """The table of augmented clips may be empty."""
    write_clip_table(tmp_path / "clips.parquet", {NAMES[0]: noise(seconds=0.1)})
    with clip_writer(tmp_path / "copies.parquet", payload=AUDIO):
        pass
    frames, vectors = write_features(tmp_path)
    assert len(pd.read_parquet(frames)) == len(pd.read_parquet(vectors)) == 1


def test_tables_do_not_depend_on_the_number_of_workers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes write the same bytes as one."""
    for name in ("clips.parquet", "copies.parquet"):
        (tmp_path / name).symlink_to(folder / name)
    monkeypatch.setenv("SER_WORKERS", "2")
    write_features(tmp_path)
    assert contents(tmp_path) == contents(folder)
    assert len(contents(folder)) > 2
