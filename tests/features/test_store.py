"""Feature tables give back what was measured, in the order asked for."""

import os
import resource
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.dataset.clips import clip_writer
from ser.features import extraction
from ser.features import store as feature_store
from ser.features.columns import feature_names
from ser.features.functionals import functionals
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.measured import NAMES, SETTINGS, measure_each, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, np.ndarray]:
    return measure_each(folder)


def test_frames_come_in_the_order_asked_for(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """Some clips, backwards, give their own matrices, each of its own length."""
    wanted = list(expected)[::-3]
    frames = feature_store.read_frames([folder / "frames.parquet"], clip_ids=wanted)
    assert len({len(matrix) for matrix in frames}) > 3
    for clip_id, matrix in zip(wanted, frames, strict=True):
        np.testing.assert_allclose(matrix, expected[clip_id], rtol=1e-5, atol=1e-5)


def test_frames_are_a_sequence(folder: Path) -> None:
    """What stays on disk behaves as the list of its matrices does: positions, slices, lengths, and their ends."""
    frames = feature_store.read_frames([folder / "frames.parquet"], clip_ids=[f"ravdess/{name}" for name in NAMES])
    listed = list(frames)
    assert len(frames) == len(listed) == len(NAMES)
    assert frames.lengths.tolist() == [len(matrix) for matrix in listed]
    assert {matrix.dtype for matrix in listed} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(frames[-2], listed[-2])
    np.testing.assert_array_equal(frames[np.int64(3)], listed[3])
    chosen = np.array([5, 0, 5])
    for some, expected in ((frames[8:2:-3], listed[8:2:-3]), (frames[chosen], [listed[n] for n in chosen])):
        assert some.lengths.tolist() == [len(matrix) for matrix in expected]
        assert all(np.array_equal(one, other) for one, other in zip(some, expected, strict=True))
    with pytest.raises(IndexError):
        frames[len(NAMES)]


def test_lengths_are_known_without_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting clips and their frames, and choosing some, does not touch the disk; only asking for a matrix does."""
    frames = feature_store.read_frames([folder / "frames.parquet"], clip_ids=[f"ravdess/{NAMES[-1]}"])
    length = len(frames[0])

    def broken(*_: object) -> bytes:
        raise OSError("was read")

    monkeypatch.setattr(os, "pread", broken)
    assert (len(frames), *frames[:1].lengths) == (1, length)
    with pytest.raises(OSError, match="was read"):
        frames[0]


def test_frames_leave_nothing_behind(folder: Path) -> None:
    """Not even while in use has the copy a name, which a kill would leave; its room is free with the last clips."""
    before = sorted(folder.iterdir())
    frames = feature_store.read_frames([folder / "frames.parquet"], clip_ids=[f"ravdess/{NAMES[0]}"])
    assert sorted(folder.iterdir()) == before
    file, some = frames.scratch._file, frames[:1]
    del frames
    assert len(some[0]) == some.lengths[0]
    del some
    assert file.closed


@contextmanager
def little_room(n_bytes: int) -> Iterator[None]:
    """Let the system refuse files of more than some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_a_sentence(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """Where a single byte does not fit, the error names the folder, the system's reason, and the room that it takes."""
    before, needed = sorted(folder.iterdir()), sum(matrix.nbytes for matrix in expected.values())
    paths, clip_ids = [folder / "frames.parquet"], list(expected)
    with little_room(needed):
        feature_store.read_frames(paths, clip_ids=clip_ids)
    said = rf"{folder}: no copy of the frames .* could be written there \(File too large\); it takes as much"
    with little_room(needed - 1), pytest.raises(UserError, match=said):
        feature_store.read_frames(paths, clip_ids=clip_ids)
    assert sorted(folder.iterdir()) == before


def test_threads_do_not_write_over_each_other(tmp_path: Path) -> None:
    """Many threads append at a time, with a switch after every few instructions, and each clip is read as it was."""
    scratch, every = feature_store._FrameFile(tmp_path), sys.getswitchinterval()
    clips = [np.full((3 + n % 5, 7), n, dtype=np.float32) for n in range(3000)]
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            starts = list(pool.map(scratch.append, clips))
    finally:
        sys.setswitchinterval(every)
    assert all((scratch.read(start, shape=clip.shape) == clip).all() for start, clip in zip(starts, clips, strict=True))


def test_functionals_come_in_the_order_asked_for(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """Some clips, backwards, give a row each: the functionals of their frames."""
    wanted = list(expected)[::-3]
    vectors = feature_store.read_functionals([folder / "functionals.parquet"], clip_ids=wanted)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [functionals(expected[c], SETTINGS) for c in wanted], rtol=1e-4, atol=1e-5)


def test_features_are_read_across_tables_written_in_any_pieces(folder: Path, tmp_path: Path) -> None:
    """Pieces on disk that do not match the pieces read, and clips spread over tables, change nothing."""
    parts = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    stored = pd.read_parquet(folder / "frames.parquet")
    for part, path in enumerate(parts):
        rows = stored.iloc[part::2].to_dict("records")
        for row in rows:
            row["frames"] = [frame.tolist() for frame in row["frames"]]
        with clip_writer(path, **extraction.frames_layout(SETTINGS)) as write:
            for start in range(0, len(rows), 7):
                write(rows[start : start + 7])
    whole = feature_store.read_frames([folder / "frames.parquet"], clip_ids=list(stored.clip_id))
    spread = feature_store.read_frames(parts, clip_ids=list(stored.clip_id))
    assert all(np.array_equal(one, other) for one, other in zip(whole, spread, strict=True))


@pytest.mark.parametrize("kind", ["frames", "functionals"])
def test_a_clip_that_is_not_there_is_refused(kind: str, folder: Path) -> None:
    """Asking for a clip that no table holds is an error that names both, and never another clip's features."""
    read = {"frames": feature_store.read_frames, "functionals": feature_store.read_functionals}[kind]
    with pytest.raises(UserError, match=rf"{kind}\.parquet: ravdess/nobody has no features there; run `dvc repro`"):
        read([folder / f"{kind}.parquet"], clip_ids=[f"ravdess/{NAMES[0]}", "ravdess/nobody"])


def test_columns_have_names(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """A table says what its numbers are: the name of a functional's column finds its value."""
    columns = feature_names(SETTINGS)
    assert columns == ["zcr.0", "rms.0", "chroma.0", "chroma.1", "chroma.2"]
    assert feature_store.read_feature_names([folder / "frames.parquet"]) == columns
    names = feature_store.read_feature_names([folder / "functionals.parquet"])
    clip_id = f"ravdess/{NAMES[0]}"
    (vector,) = feature_store.read_functionals([folder / "functionals.parquet"], clip_ids=[clip_id])
    assert len(names) == len(vector)
    assert vector[names.index("rms.0.mean")] == pytest.approx(expected[clip_id][:, 1].mean(), rel=1e-5)
    assert vector[names.index("chroma.1.max")] == pytest.approx(expected[clip_id][:, 3].max(), rel=1e-5)


def test_tables_of_different_features_are_refused(folder: Path, tmp_path: Path) -> None:
    """Features measured under different settings are not mixed, even where they are as many."""
    other = tmp_path / "other.parquet"
    chosen = SETTINGS.model_copy(update={"frame_features": ("rms", "zcr", "chroma")})
    with clip_writer(other, **extraction.frames_layout(chosen)):
        pass
    with pytest.raises(UserError, match=f"{other}.* hold different features"):
        feature_store.read_feature_names([folder / "frames.parquet", other])
    with pytest.raises(UserError, match=f"{other}.* hold different features"):
        feature_store.read_frames([folder / "frames.parquet", other], clip_ids=[])


def test_a_kind_of_features_can_be_chosen(tmp_path: Path) -> None:
    """Only columns of the kinds asked for are read, in the order of the table; a kind that is not there is named."""
    clips = factories.ravdess([1])[:2]
    values = [np.arange(8, dtype=np.float32).reshape(2, 4) + 10 * n for n in range(2)]
    names = '["mel.0", "rms.0", "mel.1", "zcr.0"]'
    factories.write_features(tmp_path, clips, payload="frames", values=values, names=names)
    paths = [tmp_path / "ravdess.parquet"]
    assert feature_store.read_feature_names(paths, kinds=["zcr", "mel"]) == ["mel.0", "mel.1", "zcr.0"]
    frames = feature_store.read_frames(paths, clip_ids=list(clips.clip_id), kinds=["mel"])
    assert frames[1].tolist() == [[10, 12], [14, 16]]
    with pytest.raises(UserError, match=r"hold no pitch, but mel\.0, rms\.0"):
        feature_store.read_feature_names(paths, kinds=["pitch"])
