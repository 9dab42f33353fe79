"""A writable folder for the code that numba compiles for librosa."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

COMPILED = ("core", "util")
"""Subpackages of librosa with functions that are compiled when they are imported."""


@cache
def ensure_writable() -> None:
    """Set NUMBA_CACHE_DIR to a temporary folder if numba can write neither beside librosa nor to the user's cache.

    Otherwise importing librosa fails there. The folder is removed with the process: each process compiles for 15 s.
    """
    beside = [_librosa() / name / "__pycache__" for name in COMPILED]
    if os.environ.get("NUMBA_CACHE_DIR") or all(map(_is_writable, beside)) or _is_writable(_user_cache()):
        return
    folder = tempfile.mkdtemp(prefix="numba-")
    os.environ["NUMBA_CACHE_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _librosa() -> Path:
    spec = find_spec("librosa")
    return Path(spec.origin).parent if spec and spec.origin else Path()


def _user_cache() -> Path:
    home = os.path.expanduser("~/.cache")  # noqa: PTH111, unlike Path it accepts users without a home
    return Path(os.environ.get("XDG_CACHE_HOME", home), "numba")


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which may have to be made first."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
