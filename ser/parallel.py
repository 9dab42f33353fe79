"""The same function over many items, on every core, with the same result as on one."""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import threadpool_limits

from ser import malloc
from ser.errors import InputError
from ser.progress import noted_in, progress, watching

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers() -> int:
    """Say how many processes to use: SER_WORKERS where it is set, else the cores this process may use.

    Raises
    ------
    InputError
        If SER_WORKERS is not a number above 0.
    """
    wanted = os.environ.get("SER_WORKERS") or str(joblib.cpu_count())
    if not wanted.isdecimal() or int(wanted) < 1:
        raise InputError(f"SER_WORKERS is {wanted!r}; expected a number of processes, 1 or more.")
    return int(wanted)


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
        What the progress bar says, or lines in a log.
    total
        How many batches there will be, where that is known.

    Yields
    ------
    Result
        One a batch, in the order of the batches.
    """
    results = _in_process(function, items) if workers() == 1 else _in_workers(function, items)
    yield from progress(results, description=description, total=total, unit="batch")


def map_long(
    function: Callable[[Item], Result], items: Sequence[Item], *, at_once: int, description: str, unit: str
) -> list[Result]:
    """Apply a function that takes long to each item: one after the other, or several at once, each on one core.

    Parameters
    ----------
    function
        It must be importable (a module's own), or a partial of such; so must be what it is given and returns.
    items
        What it is applied to.
    at_once
        How many processes; with one, or one item, all happens in this one, which has all cores.
    description, unit
        What the progress bar says, and of what it counts.

    Returns
    -------
    list of Result
        In the order of the items.
    """
    if at_once == 1 or len(items) < 2:
        return [function(item) for item in progress(items, description=description, total=len(items), unit=unit)]
    # A worker that has grown is replaced by a new one between items, and nothing is lost: no reason to warn.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")
    executor = get_reusable_executor(max_workers=min(at_once, len(items)))
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # somebody may still write there
        notes = [Path(folder) / f"{number:06}" for number in range(len(items))]
        pending = [executor.submit(_on_one_core, function, item, note) for item, note in zip(items, notes, strict=True)]
        try:
            done = progress(as_completed(pending), description=description, total=len(pending), unit=unit)
            with watching(done, Path(folder)) as look:
                for future in done:
                    future.result()  # the first error ends the others
                    look()
        except KeyboardInterrupt:
            executor.shutdown(wait=False, kill_workers=True)
            raise
        finally:
            for future in pending:
                future.cancel()
    return [future.result() for future in pending]


def _on_one_core(function: Callable[[Item], Result], item: Item, note: Path) -> Result:
    os.environ["SER_WORKERS"] = "1"
    with noted_in(note):  # bars of several processes would overwrite each other
        return function(item)


def _in_process(function: Callable[[list[Item]], Result], items: Iterable[Sequence[Item]]) -> Iterator[Result]:
    return (_single_threaded(function, list(batch)) for batch in items)


def _in_workers(function: Callable[[list[Item]], Result], items: Iterable[Sequence[Item]]) -> Iterator[Result]:
    """Keep two batches a worker under way; joblib.Parallel would run on while nobody takes the results."""
    executor = get_reusable_executor(max_workers=workers())
    pending: deque[Future[Result]] = deque()
    try:
        for batch in items:
            pending.append(executor.submit(_single_threaded, function, list(batch)))
            if len(pending) > 2 * workers():
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except KeyboardInterrupt:
        executor.shutdown(wait=False, kill_workers=True)  # or the process would wait for them at its end
        raise
    finally:
        for future in pending:
            future.cancel()


def _single_threaded(function: Callable[[list[Item]], Result], batch: list[Item]) -> Result:
    """BLAS on several threads adds up in another order, and fights the other workers for the cores."""
    malloc.keep_freed()
    with threadpool_limits(1):
        return function(batch)
