"""Apply a function to many items in several processes, with the same results as in one."""

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
"""Batches per worker that joblib gets at a time: it does not wait for the caller to take the results."""
IGNORED_WARNINGS = (
    "A worker stopped while some jobs were given to the executor",  # loky replaces workers whose memory has grown
    ".*You could benefit from adjusting the input task iterator",  # the caller failed or was interrupted
)


def n_workers() -> int:
    """Return the number of worker processes: `SER_WORKERS` if set, else the number of available cores.

    Raises
    ------
    UserError
        If `SER_WORKERS` is not a positive integer.
    """
    wanted = os.environ.get("SER_WORKERS") or str(joblib.cpu_count())
    if not wanted.isdecimal() or int(wanted) < 1:
        raise UserError(f"SER_WORKERS is {wanted!r}; expected a number of processes, 1 or more.")
    return int(wanted)


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
    """Apply a function to each batch on `n_workers` processes, each with one BLAS thread.

    Parameters
    ----------
    function : callable
        Takes a list and returns one result. It must be picklable.
    items : iterable of sequences
        Batches. They are read lazily, so memory does not grow with their number.
    description : str
        Shown with the progress.
    total : int, optional
        Number of batches, if known.

    Yields
    ------
    Result
        One per batch, in the order of the batches.
    """
    results = _in_chunks(partial(_on_one_thread, function), items, n_jobs=n_workers())
    yield from progress(results, description=description, total=total, unit="batch")


def map_tasks(
    function: Callable[[Item], Result], items: Sequence[Item], *, n_jobs: int, description: str, unit: str
) -> list[Result]:
    """Apply a function that takes minutes to each item, several at a time, each on one core.

    Parameters
    ----------
    function : callable
        It must be picklable, as must its argument and its result.
    items : sequence
        Its arguments.
    n_jobs : int
        Number of processes. With one, or with one item, everything runs in this process on all cores.
    description, unit : str
        Shown with the progress: what is done, and the name of an item.

    Returns
    -------
    list of Result
        In the order of the items.
    """
    n_jobs = max(1, min(n_jobs, len(items)))
    results = []
    with progress((), description=description, total=len(items), unit=unit) as bar:
        for result in _parallel(function, items, n_jobs=n_jobs):
            results.append(result)
            bar.update()
    return results


def _in_chunks(
    function: Callable[[list[Item]], Result], items: Iterable[Sequence[Item]], *, n_jobs: int
) -> Iterator[Result]:
    stream = map(list, items)
    for first in stream:
        yield from _parallel(function, chain([first], islice(stream, CHUNK * n_jobs - 1)), n_jobs=n_jobs)


def _parallel(function: Callable[[Item], Result], items: Iterable[Item], *, n_jobs: int) -> Iterator[Result]:
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    task = function if n_jobs == 1 else partial(_in_worker, function)
    parallel = joblib.Parallel(n_jobs, return_as="generator", batch_size=1, max_nbytes=None)
    return parallel(joblib.delayed(task)(item) for item in items)


def _in_worker(function: Callable[[Item], Result], item: Item) -> Result:
    os.environ["SER_WORKERS"] = "1"
    _end_with_parent()
    return function(item)


@cache
def _end_with_parent() -> None:
    """End this worker when its parent is killed; loky would finish the task first and wait for more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_one_thread(function: Callable[[list[Item]], Result], batch: list[Item]) -> Result:
    """BLAS sums in another order on several threads, and would compete with the other workers for the cores."""
    malloc.tune_malloc()
    garbage.collect_rarely()
    with threadpool_limits(1):
        return function(batch)
