"""Choose a writable cache folder for the functions of librosa that numba compiles."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

COMPILED = ("core", "util")
"""Subpackages of librosa with functions that are compiled on import."""


@cache
def ensure_writable() -> None:
    """Set NUMBA_CACHE_DIR to a temporary folder if neither librosa's own nor the user's cache folder is writable.

    Otherwise importing librosa fails. The folder is removed when the process exits; compiling takes 15 s per process.
    """
    spec = find_spec("librosa")
    librosa = Path(spec.origin).parent if spec and spec.origin else Path()
    home = os.path.expanduser("~/.cache")  # noqa: PTH111, unlike Path it accepts users without a home
    user_cache = Path(os.environ.get("XDG_CACHE_HOME", home), "numba")
    package_caches = [librosa / name / "__pycache__" for name in COMPILED]
    if os.environ.get("NUMBA_CACHE_DIR") or all(map(_is_writable, package_caches)) or _is_writable(user_cache):
        return
    folder = tempfile.mkdtemp(prefix="numba-")
    os.environ["NUMBA_CACHE_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _is_writable(folder: Path) -> bool:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
