"""How much is done at a time: some answers are worked on, some wait, and beyond that nobody is let in."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Full(Exception):  # noqa: N818 - it is an answer, not a mistake
    """There is no place; come again."""


class Gate:
    """Places for requests, and threads that work for those who have one. For one event loop.

    Parameters
    ----------
    workers
        How many answers are worked on at once.
    waiting
        How many more may wait for it, their recordings in memory.
    """

    def __init__(self, *, workers: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="answer")
        self.places = workers + waiting
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place until the block ends.

        Raises
        ------
        Full
            If there is none.
        """
        if self.taken >= self.places:
            raise Full
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Let a thread work, and wait for it; who gives up before it has begun leaves nothing to be done."""
        return await asyncio.wrap_future(self._threads.submit(function, *args, **kwargs))

    def close(self) -> None:
        """Let the threads go when they are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)
