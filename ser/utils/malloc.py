"""Memory that a process frees, kept for what it asks next."""

import ctypes
import sys

MALLOPT_OPTIONS = {-1: 2**31 - 1, -3: 2**30, -2: 2**26}
"""What the C library of Linux keeps, in bytes: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_TOP_PAD (mallopt(3)).

The last is the size of a thread's whole heap, which it would give back as soon as nothing is in it.
"""


def tune_malloc() -> None:
    """Have large arrays made where others of that size have been.

    Otherwise they are given back to the system and asked for again, which clears each page (4 KB) once more: 450000
    times in an epoch of RAVDESS, a seventh of its time. C libraries without such settings go on as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for setting, size in MALLOPT_OPTIONS.items():
            mallopt(setting, size)
