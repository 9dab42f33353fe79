"""The same function over many items, on every core, with the same result as on one."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import joblib
from threadpoolctl import threadpool_limits
from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers() -> int:
    """Say how many processes to use: SER_WORKERS where it is set, else the cores this process may use."""
    return int(os.environ.get("SER_WORKERS", "0")) or joblib.cpu_count()


def progress(items: Iterable[Item], *, description: str, total: int | None, unit: str = "clip") -> "tqdm[Item]":
    """Wrap items in a progress bar on standard error: none in CI or where nobody watches."""
    silent = bool(os.environ.get("CI")) or not sys.stderr.isatty()
    return tqdm(items, desc=description, total=total, unit=unit, disable=silent)


def batches(items: Iterable[Item], *, size: int) -> Iterator[list[Item]]:
    """Cut a stream into lists of `size`; the last may be shorter."""
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
    """Apply a function to every batch, in order, reading batches only as fast as they are worked off.

    Parameters
    ----------
    function
        Takes a list and returns one result. It must be importable (a module's own), or a partial of such.
    items
        Batches, read lazily, so that a stream larger than memory may pass.
    description
        What the progress bar says.
    total
        How many batches there will be, where that is known.

    Yields
    ------
    Result
        One a batch, in the order of the batches.
    """
    work = (joblib.delayed(_single_threaded)(function, list(batch)) for batch in items)
    parallel = joblib.Parallel(n_jobs=workers(), return_as="generator", pre_dispatch="2*n_jobs", batch_size=1)
    yield from progress(parallel(work), description=description, total=total, unit="batch")


def _single_threaded(function: Callable[[list[Item]], Result], batch: list[Item]) -> Result:
    """BLAS on several threads adds up in another order, and fights the other workers for the cores."""
    with threadpool_limits(1):
        return function(batch)
