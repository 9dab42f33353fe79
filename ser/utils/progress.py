"""Show progress on standard error: tqdm bars in a terminal, plain lines in logs and CI."""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Bar: TypeAlias = "tqdm[Any]"

LOG_SECONDS = 30
"""Minimum time between two lines of a log. Shorter work writes none."""
LOG_FORMAT = "{desc}: {n_fmt}/{total_fmt}, {elapsed} elapsed, {remaining} left, {rate_fmt}{postfix}"
REFRESH_SECONDS = 1.0
"""Interval at which a bar updates the elapsed time while an item takes minutes."""


class LogProgress(tqdm):  # type: ignore[misc]
    """Variant of tqdm that writes lines: at most one per `LOG_SECONDS`, and the last one when it is closed."""

    def __init__(self, iterable: Iterable[Any], **options: Any) -> None:
        self._written: float | None = None
        options |= {"mininterval": LOG_SECONDS, "miniters": 1, "delay": LOG_SECONDS, "leave": False}
        super().__init__(iterable, **options)
        if self.total:
            self.bar_format = LOG_FORMAT

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Write a line unless this count has been written."""
        if self.n != self._written:
            self._written = self.n
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return False  # `close` has no bar to clear


def progress(items: Iterable[Item], *, description: str, total: int | None, unit: str = "clip") -> "tqdm[Item]":
    """Iterate over items and show the progress on standard error; without items, call `update` instead.

    Returns
    -------
    tqdm
        A bar in a terminal, a `LogProgress` elsewhere and in CI, and a disabled bar in a worker process.
    """
    if multiprocessing.parent_process() is not None:
        return tqdm(items, disable=True)  # the parent shows the progress of its workers
    options: dict[str, Any] = {"desc": description, "total": total, "unit": unit, "unit_scale": unit == "B"}
    if os.environ.get("CI") or not sys.stderr.isatty():
        return LogProgress(items, **options)
    bar = tqdm(items, **options)

    def refresh() -> None:
        while not bar.disable:  # set by `close`
            time.sleep(REFRESH_SECONDS)
            with bar.get_lock():
                if not bar.disable:
                    bar.refresh(nolock=True)

    threading.Thread(target=refresh, daemon=True).start()
    return bar
