"""Feature tables are read in the order of the clips requested, and frames stay on disk until then."""

import pickle
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.dataset.clips import clip_writer
from ser.features import extraction
from ser.features.functionals import functionals
from ser.features.store import Frames, _FrameFile, read_feature_names, read_frames, read_functionals
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.measured import NAMES, SETTINGS

CLIP_IDS = [f"ravdess/{name}" for name in NAMES]


@pytest.fixture
def frames(folder: Path) -> Frames:
    return read_frames([folder / "frames.parquet"], clip_ids=CLIP_IDS)


def test_features_are_in_the_order_requested(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """Some clips in reverse order have the frames and functionals of their own."""
    clip_ids = list(expected)[::-3]
    frames = read_frames([folder / "frames.parquet"], clip_ids=clip_ids)
    assert len({len(matrix) for matrix in frames}) > 3
    for clip_id, matrix in zip(clip_ids, frames, strict=True):
        np.testing.assert_allclose(matrix, expected[clip_id], rtol=1e-5, atol=1e-5)
    vectors = read_functionals([folder / "functionals.parquet"], clip_ids=clip_ids)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [functionals(expected[c], SETTINGS) for c in clip_ids], rtol=1e-4, atol=1e-5)


def test_frames_are_a_sequence(frames: Frames) -> None:
    """Positions, slices, arrays of positions and pickled copies give the same matrices as a list."""
    matrices = list(frames)
    assert len(frames) == len(matrices) == len(NAMES)
    assert {matrix.dtype for matrix in matrices} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(frames[-2], matrices[-2])
    np.testing.assert_array_equal(frames[np.int64(3)], matrices[3])
    positions = np.array([5, 0, 5])
    selections = (
        (frames[8:2:-3], matrices[8:2:-3]),
        (frames[positions], [matrices[n] for n in positions]),
        (pickle.loads(pickle.dumps(frames)), matrices),
    )
    for selected, expected in selections:
        assert selected.lengths.tolist() == [len(matrix) for matrix in expected]
        assert all(np.array_equal(a, b) for a, b in zip(selected, expected, strict=True))
    with pytest.raises(IndexError):
        frames[len(NAMES)]


def test_temporary_file_has_no_name(folder: Path) -> None:
    """It leaves nothing behind if the process is killed, and is closed with the last clips."""
    before = sorted(folder.iterdir())
    frames = read_frames([folder / "frames.parquet"], clip_ids=CLIP_IDS[:1])
    assert sorted(folder.iterdir()) == before
    file, selected = frames.file._file, frames[:1]
    del frames
    assert len(selected[0]) == selected.lengths[0]
    del selected
    assert file.closed


@contextmanager
def max_file_size(n_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_is_a_user_error(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """If a single byte does not fit, the error has the folder and the system's reason, and nothing is left behind."""
    before, size = sorted(folder.iterdir()), sum(matrix.nbytes for matrix in expected.values())
    paths, clip_ids = [folder / "frames.parquet"], list(expected)
    with max_file_size(size):
        read_frames(paths, clip_ids=clip_ids)
    with max_file_size(size - 1), pytest.raises(UserError, match=rf"{folder}: .*\(File too large\)"):
        read_frames(paths, clip_ids=clip_ids)
    assert sorted(folder.iterdir()) == before


def test_concurrent_appends_do_not_overlap(tmp_path: Path) -> None:
    """Clips appended by several threads, with frequent switches between them, are read unchanged."""
    file, interval = _FrameFile(tmp_path), sys.getswitchinterval()
    clips = [np.full((3 + n % 5, 7), n, dtype=np.float32) for n in range(3000)]
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            starts = list(pool.map(file.append, clips))
    finally:
        sys.setswitchinterval(interval)
    assert all((file.read(start, shape=clip.shape) == clip).all() for start, clip in zip(starts, clips, strict=True))


def test_row_groups_and_tables_do_not_matter(folder: Path, tmp_path: Path) -> None:
    """Frames are the same if they are written in other pieces and to several tables."""
    tables = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    stored = pd.read_parquet(folder / "frames.parquet")
    for part, path in enumerate(tables):
        rows = stored.iloc[part::2].to_dict("records")
        for row in rows:
            row["frames"] = [frame.tolist() for frame in row["frames"]]
        with clip_writer(path, **extraction.frames_layout(SETTINGS)) as write:
            for start in range(0, len(rows), 7):
                write(rows[start : start + 7])
    clip_ids = list(stored.clip_id)
    expected = read_frames([folder / "frames.parquet"], clip_ids=clip_ids)
    assert all(np.array_equal(a, b) for a, b in zip(read_frames(tables, clip_ids=clip_ids), expected, strict=True))


@pytest.mark.parametrize(("kind", "read"), [("frames", read_frames), ("functionals", read_functionals)])
def test_missing_clip_is_a_user_error(kind: str, read: Callable[..., object], folder: Path) -> None:
    """The error has the table and the clip."""
    with pytest.raises(UserError, match=rf"{kind}\.parquet: .*ravdess/missing"):
        read([folder / f"{kind}.parquet"], clip_ids=[CLIP_IDS[0], "ravdess/missing"])


def test_names_belong_to_columns(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """The names of a feature and of a functional find its values."""
    column = read_feature_names([folder / "frames.parquet"]).index("chroma.1")
    row = read_feature_names([folder / "functionals.parquet"]).index("chroma.1.max")
    [vector] = read_functionals([folder / "functionals.parquet"], clip_ids=CLIP_IDS[:1])
    assert vector[row] == pytest.approx(expected[CLIP_IDS[0]][:, column].max(), rel=1e-5)


def test_tables_of_different_features_are_a_user_error(folder: Path, tmp_path: Path) -> None:
    """The order of columns must agree too."""
    other = tmp_path / "other.parquet"
    reordered = SETTINGS.model_copy(update={"frame_features": ("rms", "zcr", "chroma")})
    with clip_writer(other, **extraction.frames_layout(reordered)):
        pass
    with pytest.raises(UserError, match=str(other)):
        read_feature_names([folder / "frames.parquet", other])
    with pytest.raises(UserError, match=str(other)):
        read_frames([folder / "frames.parquet", other], clip_ids=[])


def test_selected_features(tmp_path: Path) -> None:
    """Only the selected columns are read, in the order of the table; the error for absent features has both."""
    clips = factories.ravdess([1])[:2]
    values = [np.arange(8, dtype=np.float32).reshape(2, 4) + 10 * n for n in range(2)]
    names = '["mel.0", "rms.0", "mel.1", "zcr.0"]'
    factories.write_features(tmp_path, clips, payload="frames", values=values, names=names)
    paths = [tmp_path / "ravdess.parquet"]
    assert read_feature_names(paths, kinds=["zcr", "mel"]) == ["mel.0", "mel.1", "zcr.0"]
    frames = read_frames(paths, clip_ids=list(clips.clip_id), kinds=["mel"])
    assert frames[1].tolist() == [[10, 12], [14, 16]]
    with pytest.raises(UserError, match=r"pitch.*mel\.0, rms\.0"):
        read_feature_names(paths, kinds=["pitch"])
