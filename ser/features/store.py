"""Read feature tables: clips with a (frames, features) matrix or a vector of functionals."""

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
    """Read the names of the features that tables hold: all, or those of some kinds, such as mel.

    Raises
    ------
    UserError
        If the tables do not hold the same features, or none of those kinds.
    """
    notes = {path: read_metadata(path)["features"] for path in paths}
    if len(set(notes.values())) != 1:
        raise UserError(f"{', '.join(map(str, notes))} hold different features; run `dvc repro` to make them anew.")
    names: list[str] = json.loads(next(iter(notes.values())))
    chosen = names if kinds is None else [names[column] for column in columns_of(names, kinds)]
    if not chosen:
        raise UserError(f"{', '.join(map(str, notes))} hold no {', '.join(kinds or [])}, but {', '.join(names)}.")
    return chosen


class _FrameFile:
    """Numbers in a file without a name, which the system removes with the process, however that ends.

    Reads are positioned: several threads may read at a time, and, unlike a memory map, what was read once counts as the
    system's cache and not as this process's memory. Other processes that are given it read the same file, for as long
    as this one lives.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._end, self._lock = folder, 0, threading.Lock()
        with self._with_room():
            # Where a file system wants a name for a moment, DVC and Git look past this one.
            self._file = tempfile.TemporaryFile(  # noqa: SIM115, it lives as long as this object
                buffering=0, dir=folder, prefix=".frames.", suffix=".unfinished"
            )
        weakref.finalize(self, self._file.close)

    @contextmanager
    def _with_room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self._folder}: no copy of the frames for training could be written there ({error.strerror}); "
                "it takes as much free space as the tables of frames take."
            ) from None

    def append(self, values: Array) -> int:
        """Write numbers at the end, and say where they begin; several threads may at a time."""
        rest = np.ascontiguousarray(values).data.cast("B")
        with self._lock:
            start = self._end
            self._end += len(rest)
        place = start
        with self._with_room():
            while rest:  # the system may take less than it is given
                written = os.pwrite(self._file.fileno(), rest, place)
                rest, place = rest[written:], place + written
        return start

    def __reduce__(self) -> tuple[Any, ...]:
        return _FrameFileReader, (f"/proc/{os.getpid()}/fd/{self._file.fileno()}",)

    def read(self, start: int, *, shape: tuple[int, int]) -> Array:
        n_bytes = shape[0] * shape[1] * np.dtype(np.float32).itemsize
        return np.frombuffer(os.pread(self._file.fileno(), n_bytes, start), dtype=np.float32).reshape(shape)


class _FrameFileReader(_FrameFile):
    """The scratch file of another process, to be read only."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115, it lives as long as this object
        weakref.finalize(self, self._file.close)


@dataclass(frozen=True, eq=False)
class Frames(Sequence[Array]):
    """The (n_frames, features) float32 matrices of clips, on disk until one is asked for, and then read-only.

    A slice, or an array of positions, gives the `Frames` of some of the clips without reading any.

    Attributes
    ----------
    scratch
        Where they are.
    starts
        Where in it each clip begins: (clips,) bytes.
    lengths
        How many frames each clip has: (clips,).
    width
        How many features a frame has.
    """

    scratch: _FrameFile
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
        return self.scratch.read(int(self.starts[index]), shape=(int(self.lengths[index]), self.width))


def read_frames(paths: Sequence[Path], *, clip_ids: Sequence[str], kinds: Sequence[str] | None = None) -> Frames:
    """Read the (n_frames, features) matrices of some clips, in the order of `clip_ids`: all features, or some kinds.

    They are more than fits into memory, and a Parquet file does not give single clips, so they are copied to a file
    that does. It lies beside the tables, where there is room for the like of them: `/tmp` may be memory.

    Raises
    ------
    UserError
        If a clip is in none of the tables, the tables hold different features, or the disk is full.
    """
    names, scratch = read_feature_names(paths), _FrameFile(paths[0].parent)
    columns = np.flatnonzero(np.isin(names, read_feature_names(paths, kinds=kinds)))
    copy = partial(_copy_frames, scratch=scratch, columns=columns, wanted=set(clip_ids))
    found: dict[str, tuple[int, int]] = {}
    with ThreadPoolExecutor(n_workers()) as pool:  # most time goes into decoding, for which Arrow needs no lock
        for part in pool.map(copy, (file for path in paths for file in files_of(path))):
            found |= part
    _check_found(clip_ids, found, paths=paths)
    starts, lengths = np.array([found[clip_id] for clip_id in clip_ids], dtype=np.int64).reshape(-1, 2).T
    return Frames(scratch, starts, lengths, len(columns))


def _copy_frames(
    file: Path, *, scratch: _FrameFile, columns: npt.NDArray[np.int64], wanted: Container[str]
) -> dict[str, tuple[int, int]]:
    """Copy some columns of the wanted clips of a file, and say where each clip begins and how many frames it has."""
    found = {}
    for piece in iterate_clips(file, columns=["clip_id", "frames"]):
        for clip_id, frames in zip(piece["clip_id"].to_pylist(), _matrices(piece["frames"]), strict=True):
            if clip_id in wanted:
                found[clip_id] = scratch.append(frames[:, columns]), len(frames)
    return found


def _check_found(clip_ids: Sequence[str], found: Container[str], *, paths: Sequence[Path]) -> None:
    missing = next((clip_id for clip_id in clip_ids if clip_id not in found), None)
    if missing is not None:
        raise UserError(f"{', '.join(map(str, paths))}: {missing} has no features there; run `dvc repro`.")


def _matrices(column: pa.ChunkedArray) -> list[Array]:
    array = column.combine_chunks()
    width = array.type.value_type.list_size
    values = array.flatten().flatten().to_numpy().reshape(-1, width)
    return np.split(values, (array.offsets.to_numpy() - array.offsets[0].as_py())[1:-1])


def read_functionals(paths: Sequence[Path], *, clip_ids: Sequence[str]) -> npt.NDArray[np.float32]:
    """Read the functionals of some clips: (clips, features) float32, in the order of `clip_ids`.

    Raises
    ------
    UserError
        If a clip is in none of the tables.
    """
    tables = [piece for path in paths for piece in iterate_clips(path, columns=["clip_id", "functionals"])]
    table = pa.concat_tables([piece.replace_schema_metadata() for piece in tables])
    column = table["functionals"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(len(table), -1)
    row = {clip_id: n for n, clip_id in enumerate(table["clip_id"].to_pylist())}
    _check_found(clip_ids, row, paths=paths)
    return vectors[[row[clip_id] for clip_id in clip_ids]]
