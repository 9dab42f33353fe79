"""Run Python's garbage collector less often."""

import atexit
import gc
from functools import cache

THRESHOLD = 100_000
"""Number of new objects after which the collector runs; Python's default is 700."""


@cache
def collect_rarely() -> None:
    """Raise the threshold of the garbage collector, and skip the collection when Python exits.

    Otherwise the collector takes 0.6 s of the 2 s that a process needs to import librosa and to exit.
    """
    gc.set_threshold(THRESHOLD)
    atexit.register(gc.freeze)
