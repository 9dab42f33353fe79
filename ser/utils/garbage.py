"""Fewer runs of Python's garbage collector."""

import atexit
import gc
from functools import cache

THRESHOLD = 100_000
"""Objects that are made before the collector runs; Python's default is 700."""


@cache
def collect_rarely() -> None:
    """Run the garbage collector rarely, and not over everything when Python ends.

    Otherwise it takes 0.6 s of the 2 s that a process needs to import librosa and to end.
    """
    gc.set_threshold(THRESHOLD)
    atexit.register(gc.freeze)
