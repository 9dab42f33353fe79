"""Freed memory is kept: what asks for as much again is not given pages to clear once more."""

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
    """Count them while an array is made ten times, after it was made once."""
    return int(subprocess.check_output([sys.executable, "-c", COUNT.format(first=first)], text=True))


@pytest.mark.skipif(sys.platform != "linux", reason="is the C library's of Linux")
def test_freed_memory_is_used_again() -> None:
    """Without it each array's pages are new (fewer of them where the system has larger ones)."""
    assert page_faults("malloc.tune_malloc()") < page_faults("") / 10
