"""The garbage collector runs rarely, and not when Python exits."""

import subprocess
import sys

from tests.helpers.factories import ROOT

CODE = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # functions run in reverse order: this one is the last
from ser.utils import garbage
garbage.collect_rarely()
garbage.collect_rarely()
print(gc.get_threshold()[0] == garbage.THRESHOLD, gc.isenabled())
"""


def test_collections_are_rare() -> None:
    """The threshold is raised, the collector is enabled, and objects are frozen at the end."""
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "True"]
