"""Importing librosa works where numba can write neither beside librosa nor to the user's cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ser.utils import numba_cache

ROOT = Path(__file__).parents[2]

CODE = """
import os, pathlib, sys
from ser.utils import numba_cache
numba_cache._librosa = lambda: pathlib.Path(sys.argv[1])
numba_cache.ensure_writable()
import numba
exec(compile("def double(x): return 2 * x", os.path.join(sys.argv[1], "double.py"), "exec"))
print(numba.njit(cache=True)(double)(21))
print(os.environ["NUMBA_CACHE_DIR"])
"""


@pytest.mark.parametrize("writable", ["beside", "home", "given", "nothing"])
def test_numba_finds_a_folder(tmp_path: Path, writable: str) -> None:
    """Numba caches beside the code, in the home folder or where it is told to; else in a temporary folder."""
    librosa, home, given = (tmp_path / name for name in ("librosa", "home", "given"))
    for folder in (librosa, *(librosa / name for name in numba_cache.COMPILED)):
        folder.mkdir()
        if writable != "beside":
            (folder / "__pycache__").touch()  # a file, in which nobody can make files
    (librosa / "double.py").touch()
    if writable != "home":
        home.touch()
    wanted = str(given) if writable == "given" else ""
    environment = os.environ | {"XDG_CACHE_HOME": str(home), "HOME": str(home), "NUMBA_CACHE_DIR": wanted}
    command = [sys.executable, "-c", CODE, str(librosa)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    answer, chosen = done.stdout.split("\n")[:2]
    assert answer == "42"
    assert (chosen == wanted) == (writable != "nothing")
    assert chosen in ("", str(given)) or not Path(chosen).exists()  # the temporary folder is removed with the process
