"""librosa can be imported if neither its own nor the user's cache folder is writable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ser.utils import numba_cache
from tests.helpers.factories import ROOT

CODE = """
import os, sys, types
from ser.utils import numba_cache
numba_cache.find_spec = lambda name: types.SimpleNamespace(origin=os.path.join(sys.argv[1], "__init__.py"))
numba_cache.ensure_writable()
import numba
exec(compile("def double(x): return 2 * x", os.path.join(sys.argv[1], "double.py"), "exec"))
print(numba.njit(cache=True)(double)(21))
print(os.environ["NUMBA_CACHE_DIR"])
"""


@pytest.mark.parametrize("writable", ["package", "home", "environment", "nothing"])
def test_numba_has_a_cache_folder(tmp_path: Path, writable: str) -> None:
    """Numba uses the package's, the user's or the given folder; otherwise a temporary one, which is removed."""
    package, home, given = (tmp_path / name for name in ("librosa", "home", "given"))
    for folder in (package, *(package / name for name in numba_cache.COMPILED)):
        folder.mkdir()
        if writable != "package":
            (folder / "__pycache__").touch()  # a file, so that the folder cannot be created
    (package / "double.py").touch()
    if writable != "home":
        home.touch()
    variable = str(given) if writable == "environment" else ""
    environment = os.environ | {"XDG_CACHE_HOME": str(home), "HOME": str(home), "NUMBA_CACHE_DIR": variable}
    command = [sys.executable, "-c", CODE, str(package)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    result, chosen = done.stdout.split("\n")[:2]
    assert result == "42"
    assert (chosen == variable) == (writable != "nothing")
    assert chosen in ("", str(given)) or not Path(chosen).exists()
