"""Read feature tables: a (n_frames, n_features) matrix or a vector of functionals per clip."""

import json
import os
import tempfile
import threading
import weakref
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ser.dataset.clips import files_of, iterate_clips, read_metadata
from ser.features.columns import Array, columns_of
from ser.utils.errors import UserError
from ser.utils.parallel import n_workers


def read_feature_names(paths: Iterable[Path], *, kinds: Sequence[str] | None = None) -> list[str]:
    """Read the names of the columns of feature tables, all or those of some features, such as mel.

    Raises
    ------
    UserError
        If the tables have different columns, or none of those features.
    """
    features = {path: read_metadata(path)["features"] for path in paths}
    tables = ", ".join(map(str, features))
    if len(set(features.values())) != 1:
        raise UserError(f"{tables} hold different features; run `dvc repro` to compute them again.")
    names: list[str] = json.loads(next(iter(features.values())))
    selected = names if kinds is None else [names[column] for column in columns_of(names, kinds)]
    if not selected:
        raise UserError(f"{tables} hold no {', '.join(kinds or [])}, but {', '.join(names)}.")
    return selected


class _FrameFile:
    """A temporary file of float32 values without a name, which the system deletes when the process ends.

    Unlike a memory map, its pages do not count as memory of the process. Several threads may read or append at once.
    A pickled copy in another process reads the same file, for as long as this process lives.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._end, self._lock = folder, 0, threading.Lock()
        with self._user_errors():
            # Some file systems need a name for a moment; DVC and Git ignore this one.
            self._file = tempfile.TemporaryFile(  # noqa: SIM115, closed by the finalizer
                buffering=0, dir=folder, prefix=".frames.", suffix=".unfinished"
            )
        weakref.finalize(self, self._file.close)

    @contextmanager
    def _user_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self._folder}: cannot write a temporary copy of the frames for training ({error.strerror}); "
                "free as much disk space there as the tables of frames take."
            ) from None

    def append(self, values: Array) -> int:
        """Append values and return their offset in bytes."""
        remaining = np.ascontiguousarray(values).data.cast("B")
        with self._lock:
            start = self._end
            self._end += len(remaining)
        offset = start
        with self._user_errors():
            while remaining:  # pwrite may write less than requested
                written = os.pwrite(self._file.fileno(), remaining, offset)
                remaining, offset = remaining[written:], offset + written
        return start

    def read(self, start: int, *, shape: tuple[int, int]) -> Array:
        n_bytes = shape[0] * shape[1] * np.dtype(np.float32).itemsize
        return np.frombuffer(os.pread(self._file.fileno(), n_bytes, start), dtype=np.float32).reshape(shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return _FrameFileReader, (f"/proc/{os.getpid()}/fd/{self._file.fileno()}",)


class _FrameFileReader(_FrameFile):
    """The frame file of another process, read-only."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115, closed by the finalizer
        weakref.finalize(self, self._file.close)


@dataclass(frozen=True, eq=False)
class Frames(Sequence[Array]):
    """The (n_frames, n_features) float32 matrices of clips, read from disk on access.

    A slice or an array of positions selects clips without reading any.

    Attributes
    ----------
    file : _FrameFile
        File that holds the matrices.
    starts : ndarray of shape (n_clips,)
        Offset of each clip in the file, in bytes.
    lengths : ndarray of shape (n_clips,)
        Number of frames of each clip.
    width : int
        Number of features.
    """

    file: _FrameFile
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    width: int

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice | npt.NDArray[np.int64]) -> "Frames": ...
    def __getitem__(self, index: int | slice | npt.NDArray[np.int64]) -> "Array | Frames":
        if isinstance(index, slice | np.ndarray):
            return replace(self, starts=self.starts[index], lengths=self.lengths[index])
        return self.file.read(int(self.starts[index]), shape=(int(self.lengths[index]), self.width))


def read_frames(paths: Sequence[Path], *, clip_ids: Sequence[str], kinds: Sequence[str] | None = None) -> Frames:
    """Read the (n_frames, n_features) matrices of clips, in the order of `clip_ids`: all features or some.

    The matrices do not fit into memory and Parquet cannot read single clips, so they are copied to a temporary file.
    It is in the folder of the tables, because ``/tmp`` may be in memory.

    Raises
    ------
    UserError
        If a clip is in none of the tables, the tables have different columns, or the disk is full.
    """
    names, frame_file = read_feature_names(paths), _FrameFile(paths[0].parent)
    columns = np.flatnonzero(np.isin(names, read_feature_names(paths, kinds=kinds)))
    copy = partial(_copy_frames, frame_file=frame_file, columns=columns, clip_ids=set(clip_ids))
    positions: dict[str, tuple[int, int]] = {}
    with ThreadPoolExecutor(n_workers()) as pool:  # Arrow decodes, which takes most of the time, without the GIL
        for part in pool.map(copy, (file for path in paths for file in files_of(path))):
            positions |= part
    _check_clips(clip_ids, positions, paths=paths)
    starts, lengths = np.array([positions[clip_id] for clip_id in clip_ids], dtype=np.int64).reshape(-1, 2).T
    return Frames(frame_file, starts, lengths, len(columns))


def _copy_frames(
    table: Path, *, frame_file: _FrameFile, columns: npt.NDArray[np.int64], clip_ids: Container[str]
) -> dict[str, tuple[int, int]]:
    """Copy columns of the selected clips of a table, and return offset and number of frames by clip_id."""
    positions = {}
    for piece in iterate_clips(table, columns=["clip_id", "frames"]):
        for clip_id, frames in zip(piece["clip_id"].to_pylist(), _matrices(piece["frames"]), strict=True):
            if clip_id in clip_ids:
                positions[clip_id] = frame_file.append(frames[:, columns]), len(frames)
    return positions


def _check_clips(clip_ids: Sequence[str], available: Container[str], *, paths: Sequence[Path]) -> None:
    missing = next((clip_id for clip_id in clip_ids if clip_id not in available), None)
    if missing is not None:
        raise UserError(f"{', '.join(map(str, paths))}: clip {missing} is missing; run `dvc repro`.")


def _matrices(column: pa.ChunkedArray) -> list[Array]:
    array = column.combine_chunks()
    width = array.type.value_type.list_size
    values = array.flatten().flatten().to_numpy().reshape(-1, width)
    return np.split(values, (array.offsets.to_numpy() - array.offsets[0].as_py())[1:-1])


def read_functionals(paths: Sequence[Path], *, clip_ids: Sequence[str]) -> Array:
    """Read the functionals of clips: (n_clips, n_functionals) float32, in the order of `clip_ids`.

    Raises
    ------
    UserError
        If a clip is in none of the tables.
    """
    pieces = [piece for path in paths for piece in iterate_clips(path, columns=["clip_id", "functionals"])]
    table = pa.concat_tables([piece.replace_schema_metadata() for piece in pieces])
    vectors = table["functionals"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    rows = {clip_id: n for n, clip_id in enumerate(table["clip_id"].to_pylist())}
    _check_clips(clip_ids, rows, paths=paths)
    return vectors[[rows[clip_id] for clip_id in clip_ids]]
