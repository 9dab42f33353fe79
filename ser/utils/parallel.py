"""Apply a function to many items in parallel processes, with the same results as in one process."""

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain, islice
from typing import TypeVar

import joblib
from threadpoolctl import threadpool_limits

from ser.utils import garbage, malloc
from ser.utils.errors import UserError
from ser.utils.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 16
"""Batches per worker and call of joblib, which does not wait until the caller has consumed the results."""
IGNORED_WARNINGS = (
    "A worker stopped while some jobs were given to the executor",  # loky replaces workers whose memory has grown
    ".*You could benefit from adjusting the input task iterator",  # the caller failed or was interrupted
)


def n_workers() -> int:
    """Get the number of worker processes: `SER_WORKERS` if set, else the number of available cores.

    Raises
    ------
    UserError
        If `SER_WORKERS` is not a positive integer.
    """
    value = os.environ.get("SER_WORKERS") or str(joblib.cpu_count())
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"SER_WORKERS is {value!r}; expected a number of processes, 1 or more.")
    return int(value)


def batches(items: Iterable[Item], *, size: int) -> Iterator[list[Item]]:
    """Split a stream into lists of `size` items; the last may be shorter."""
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def map_batches(
    function: Callable[[list[Item]], Result],
    items: Iterable[Sequence[Item]],
    *,
    description: str,
    total: int | None = None,
) -> Iterator[Result]:
    """Apply a picklable function to each batch on `n_workers` processes, each with one BLAS thread.

    Batches are read lazily, so memory does not grow with their number. `description` and `total`, the number of
    batches if known, are shown with the progress.

    Yields
    ------
    Result
        One per batch, in the order of the batches.
    """
    n_jobs, stream = n_workers(), map(list, items)
    with progress((), description=description, total=total, unit="batch") as bar:
        for first in stream:
            chunk = chain([first], islice(stream, CHUNK * n_jobs - 1))
            for result in _parallel(partial(_on_one_thread, function), chunk, n_jobs=n_jobs):
                yield result
                bar.update()


def map_tasks(
    function: Callable[[Item], Result], items: Sequence[Item], *, n_jobs: int, description: str, unit: str
) -> list[Result]:
    """Apply a function that takes minutes to each item in parallel processes with one core each.

    With one process or one item, all runs in this process on all cores. The function, its argument and its result must
    be picklable. Results are in the order of the items; `description` and `unit` are shown with the progress.
    """
    results = _parallel(function, items, n_jobs=max(1, min(n_jobs, len(items))))
    return list(progress(results, description=description, total=len(items), unit=unit))


def _parallel(function: Callable[[Item], Result], items: Iterable[Item], *, n_jobs: int) -> Iterator[Result]:
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    task = function if n_jobs == 1 else partial(_in_worker, function)
    parallel = joblib.Parallel(n_jobs, return_as="generator", batch_size=1, max_nbytes=None)
    return parallel(joblib.delayed(task)(item) for item in items)


def _in_worker(function: Callable[[Item], Result], item: Item) -> Result:
    os.environ["SER_WORKERS"] = "1"
    _exit_with_parent()
    return function(item)


@cache
def _exit_with_parent() -> None:
    """Exit when the parent is killed; loky would finish the task and wait for more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_one_thread(function: Callable[[list[Item]], Result], batch: list[Item]) -> Result:
    """Call a function with one BLAS thread, as results depend on the number of threads."""
    malloc.tune_malloc()
    garbage.collect_rarely()
    with threadpool_limits(1):
        return function(batch)
