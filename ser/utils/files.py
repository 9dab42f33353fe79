"""Write files and folders atomically, and hash and remove them."""

import csv
import errno
import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file or folder to a temporary path, and move it to `path` if the block ends without an error.

    Yields
    ------
    Path
        Temporary path to write to. An existing file or folder at `path` is not changed before the block ends.

    Raises
    ------
    FileNotFoundError
        If the block writes nothing.
    IsADirectoryError
        If the block writes a file and `path` is a folder, which is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    remove(unfinished)
    try:
        yield unfinished
        if not unfinished.exists():
            raise FileNotFoundError(f"{path}: nothing was written")
        if path.is_dir() and not unfinished.is_dir():
            raise IsADirectoryError(errno.EISDIR, "cannot replace a folder by a file", str(path))
        if unfinished.is_dir():  # `replace` replaces no folders
            remove(path)
        unfinished.replace(path)
    finally:
        remove(unfinished)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_hash(path: Path, algorithm: str) -> str:
    """Compute the hash of a file in hexadecimal digits, without reading all of it into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8 with Unix line ends."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys; NaN is refused with a `ValueError`."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Write rows as CSV with a header, also if there are no rows."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
