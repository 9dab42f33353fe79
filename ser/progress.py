"""How far work is, shown on standard error: a bar in a terminal, in logs and CI a line now and then."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SILENT_SECONDS = 10
"""Work that takes no longer says nothing in a log."""
LINE_SECONDS = 30
"""A log gets a line as often, or for each tenth of the work, whatever comes first."""
BEAT_SECONDS = 1.0
"""How often it is looked whether a line is due, as one item may take minutes."""
ELSEWHERE = "SER_PROGRESS_FILE"
"""Names, in the environment of a process whose progress another shows, the file into which it is written."""
WATCH_SECONDS = 2.0
"""How often it is looked how far other processes are."""


class Lines(Generic[Item]):
    """Says how far long work is where no terminal shows a bar: in plain lines, few of them. Has what is used of tqdm.

    Parameters
    ----------
    items
        What is worked on; each that was taken and given back counts as done.
    description
        Stands before each line.
    total
        How many there will be, where that is known.
    unit
        What is counted, such as ``clip``; ``B`` is bytes, which are written as megabytes.
    clock
        Gives the time in seconds.
    beats
        Whether lines also come while an item takes long, and no other work within it says how far it is.
    """

    _under_way: ClassVar[list["Lines[Any]"]] = []
    """The innermost last."""

    def __init__(
        self,
        items: Iterable[Item],
        *,
        description: str,
        total: int | None,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
        beats: bool = True,
    ) -> None:
        self._items = items
        self._about = description
        self._total = total
        self._unit = unit
        self._clock = clock
        self._began = self._said = clock()
        self._tenth = 0
        self._postfix = ""
        self._beats = beats
        self._ended = threading.Event()
        self._one_at_a_time = threading.Lock()
        self.n = 0
        self.under_way = 0.0  # how much of further items other processes have done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Item]:
        if self._beats:
            self._under_way.append(self)
            threading.Thread(target=self._beat, name=f"progress of {self._about}", daemon=True).start()
        try:
            for item in self._items:
                yield item
                self.update(1)
        finally:
            self.close()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            if self._under_way[-1:] == [self]:
                self.update(0)

    def update(self, n: int) -> None:
        """Count more as done, and say so where it is time to."""
        with self._one_at_a_time:
            self.n += n
            now, tenth = self._clock(), 10 * self.n // self._total if self._total else 0
            if now - self._began < SILENT_SECONDS:
                return
            if tenth > self._tenth or now - self._said >= LINE_SECONDS:
                self._said, self._tenth = now, tenth
                sys.stderr.write(f"{self._line(now - self._began)}\n")
                sys.stderr.flush()

    def set_postfix(self, **numbers: str) -> None:
        """Say this too at the end of lines, as ``name=number``."""
        self._postfix = "".join(f", {name}={number}" for name, number in numbers.items())

    def close(self) -> None:
        """Say no more while nothing is done."""
        self._ended.set()
        if self in self._under_way:
            self._under_way.remove(self)
            for around in self._under_way:
                around._said = around._clock()  # what it is part of was spoken of just now

    def _line(self, seconds: float) -> str:
        number, unit = ("{:,}".format, self._units()) if self._unit != "B" else (_megabytes, "MB")
        if not self._total:
            return f"{self._about}: {number(self.n)} {unit} after {_duration(seconds)}{self._postfix}"
        done = f"{number(self.n)} of {number(self._total)} {unit} ({100 * self.n // self._total} %)"
        return f"{self._about}: {done} after {_duration(seconds)}{self._left(seconds)}{self._postfix}"

    def _left(self, seconds: float) -> str:
        """Say how long the rest takes at this rate; what was there from the start makes it too short at first."""
        done = self.n + self.under_way
        if not self._total or not done:
            return ""
        left = seconds * max(0, self._total - done) / done
        return f", about {_duration(left)} left" if self.n < self._total else ", done"

    def _units(self) -> str:
        one = (self._total or self.n) == 1
        return self._unit if one else f"{self._unit}{'es' if self._unit.endswith('tch') else 's'}"


class Noted(Generic[Item]):
    """Writes into a file what share of work is done, for another process to show. Has what is used of tqdm."""

    def __init__(self, items: Iterable[Item], *, total: int | None, file: Path) -> None:
        self._items, self._total, self._file, self.n = items, total, file, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            yield item
            self.update(1)

    def update(self, n: int) -> None:
        """Count more as done."""
        self.n += n
        if self._total:
            with suppress(OSError):  # the disk is full, or who watched is gone: no reason to give up
                self._file.write_text(str(self.n / self._total), encoding="utf-8")

    def set_postfix(self, **_: str) -> None:
        """Numbers are of no use where several processes are at work."""

    def close(self) -> None:
        """Leave the file to who named it."""


@contextmanager
def noted_in(file: Path) -> Iterator[None]:
    """Let work in this process write into a file how far it is, as long as it is at it, instead of showing it."""
    os.environ[ELSEWHERE] = str(file)
    try:
        yield
    finally:
        del os.environ[ELSEWHERE]
        with suppress(OSError):
            file.unlink(missing_ok=True)


@contextmanager
def watching(bar: "Bar", folder: Path) -> Iterator[Callable[[], None]]:
    """Let a bar say, beside what is done, how far other processes are, who write that into files in a folder.

    Gives a function that looks at once: when one is done, before the bar counts it.
    """
    ended, one_at_a_time = threading.Event(), threading.Lock()

    def look() -> None:
        with one_at_a_time, suppress(OSError):  # one that was done just now
            texts = [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir())]
            shares = [float(text) for text in texts if text]
            if isinstance(bar, Lines):
                bar.under_way = sum(shares)
            bar.set_postfix(**({"under_way": " and ".join(f"{share:.0%}" for share in shares)} if shares else {}))

    def watch() -> None:
        while not ended.wait(WATCH_SECONDS):
            look()

    thread = threading.Thread(target=watch, name="progress of other processes", daemon=True)
    thread.start()
    try:
        yield look
    finally:
        ended.set()
        thread.join()


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.0f}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole // 60 % 60} min"


Bar: TypeAlias = "tqdm[Any] | Lines[Any] | Noted[Any]"
"""What shows how far work is."""


def progress(
    items: Iterable[Item], *, description: str, total: int | None, unit: str = "clip"
) -> "tqdm[Item] | Lines[Item] | Noted[Item]":
    """Show on standard error how far work on items is: as a bar in a terminal, in logs and CI as some lines."""
    if file := os.environ.get(ELSEWHERE):
        return Noted(items, total=total, file=Path(file))
    if os.environ.get("CI") or not sys.stderr.isatty():
        return Lines(items, description=description, total=total, unit=unit)
    return tqdm(items, desc=description, total=total, unit=unit, unit_scale=unit == "B")
