"""Limit concurrency: run `workers` requests, queue `max_queued` more, reject the rest."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Overloaded(Exception):  # noqa: N818 - a state of the server, not an error
    """All slots are taken."""


class ConcurrencyLimiter:
    """Slots for requests, and `workers` threads for those that have one.

    Notes
    -----
    `run_in_threadpool` with an `anyio.CapacityLimiter` returns the token of a request that times out while its thread
    still runs; then more than `workers` threads run at once. An executor does not.
    """

    def __init__(self, *, workers: int, max_queued: int) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="predict")
        self.capacity = workers + max_queued
        self.in_use = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot within the block; raise `Overloaded` if none is free."""
        if self.in_use >= self.capacity:
            raise Overloaded
        self.in_use += 1
        try:
            yield
        finally:
            self.in_use -= 1

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in a thread; if this is cancelled before a thread is free, do not run it."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)
