"""Freed memory is reused without new page faults."""

import subprocess
import sys

import pytest

COUNT = """
import resource
import numpy as np
from ser.utils import malloc
{first}
for n in range(11):
    np.ones(2**23)  # 64 MB, of 16384 pages
    if n == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(first: str) -> int:
    """Count page faults while an array is allocated ten times, after a first time."""
    return int(subprocess.check_output([sys.executable, "-c", COUNT.format(first=first)], text=True))


@pytest.mark.skipif(sys.platform != "linux", reason="the options exist in Linux's C library only")
def test_freed_memory_is_reused() -> None:
    """Without the options the pages of each array are new (fewer with huge pages)."""
    assert page_faults("malloc.tune_malloc()") < page_faults("") / 10
