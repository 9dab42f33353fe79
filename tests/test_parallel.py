"""The same function over many batches gives the same results, in order, in as many processes as one likes."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ser.errors import InputError
from ser.parallel import batches, map_batches, map_long, workers
from ser.progress import Lines, Noted, noted_in, progress

both = pytest.mark.parametrize("n_workers", ["1", "2"])


def slow_first(batch: list[int]) -> tuple[list[int], int]:
    """Take the longer the earlier a batch is, so that later ones are ready first."""
    time.sleep(0.01 * (8 - batch[0]))
    return batch, os.getpid()


def threads(_batch: list[int]) -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info()]


def refuse(batch: list[int]) -> int:
    if batch == [3]:
        raise InputError("batch 3 is unusable")
    return batch[0]


@both
def test_results_come_in_the_order_of_batches(n_workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One result a batch, in order, from as many processes as SER_WORKERS says: with one, from this process alone."""
    monkeypatch.setenv("SER_WORKERS", n_workers)
    results = list(map_batches(slow_first, ([n] for n in range(8)), description="test"))
    assert [batch for batch, _ in results] == [[n] for n in range(8)]
    processes = {process for _, process in results}
    assert (processes == {os.getpid()}) if n_workers == "1" else (len(processes) == 2 and os.getpid() not in processes)


@both
def test_batches_are_read_only_as_results_are_taken(n_workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream larger than memory may pass, also where results are taken more slowly than they are made."""
    monkeypatch.setenv("SER_WORKERS", n_workers)
    read: list[int] = []

    def stream() -> Iterator[list[int]]:
        for n in range(100):
            read.append(n)
            yield [n]

    results = map_batches(len, stream(), description="test")
    assert read == []
    next(results)
    time.sleep(0.5)
    assert len(read) <= 12
    assert sum(1 for _ in results) == 99


@both
def test_a_batch_is_worked_on_by_one_thread(n_workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """BLAS adds up in another order on several threads, so it has one, and afterwards as many as before."""
    monkeypatch.setenv("SER_WORKERS", n_workers)
    with threadpool_limits(2):
        before = threads([])
        results = list(map_batches(threads, [[0], [1]], description="test"))
        assert threads([]) == before
    assert 2 in before
    assert all(found and set(found) == {1} for found in results)


@both
def test_an_error_reaches_the_caller_as_it_is(n_workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a batch raises is raised again, with its own type and message, and the next call works."""
    monkeypatch.setenv("SER_WORKERS", n_workers)
    with pytest.raises(InputError, match=r"^batch 3 is unusable$"):
        list(map_batches(refuse, [[n] for n in range(6)], description="test"))
    assert list(map_batches(refuse, [[1], [2]], description="test")) == [1, 2]


def test_the_number_of_workers_is_that_of_cores_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """SER_WORKERS says how many processes there are; without it each core has one; nonsense is refused."""
    monkeypatch.setenv("SER_WORKERS", "3")
    assert workers() == 3
    monkeypatch.delenv("SER_WORKERS")
    assert workers() == joblib.cpu_count()
    for nonsense in ("0", "-1", "all"):
        monkeypatch.setenv("SER_WORKERS", nonsense)
        with pytest.raises(InputError, match=f"SER_WORKERS is '{nonsense}'"):
            workers()


def test_a_stream_is_cut_into_batches() -> None:
    """Each has its size but the last, nothing is read ahead, and no items are no batches."""
    stream = iter(range(7))
    cut = batches(stream, size=3)
    assert next(cut) == [0, 1, 2]
    assert next(stream) == 3
    assert list(cut) == [[4, 5, 6]]
    assert list(batches(range(4), size=3)) == [[0, 1, 2], [3]]
    assert list(batches([], size=3)) == []


def noted(_item: int) -> bool:
    return isinstance(progress([1], description="test", total=1), Noted)


def test_processes_side_by_side_leave_progress_to_their_parent() -> None:
    """Lines of several at once would contradict each other."""
    assert not noted(1)
    assert map_long(noted, [1, 2], at_once=2, description="test", unit="model") == [True, True]


def test_a_process_shows_its_progress_again(tmp_path: Path) -> None:
    """What comes after a model in the same process is shown, and a model that failed is no longer under way."""
    note = tmp_path / "0"
    with pytest.raises(InputError), noted_in(note):
        assert list(progress(range(2), description="test", total=2)) == [0, 1]
        assert note.read_text() == "1.0"
        raise InputError("no good")
    assert not noted(1)
    assert not note.exists()


def quarter(file: str) -> None:
    """Do a quarter of a long work, and wait for somebody to see it."""
    work, end = iter(progress(range(4), description="epochs", total=4)), time.monotonic() + 60
    next(work), next(work)
    while not Path(file).exists() and time.monotonic() < end:
        time.sleep(0.01)


def test_a_bar_says_how_far_other_processes_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While no model is done yet, a reader sees that each is under way; when all are, none is any more."""
    seen, go_on = [], tmp_path / "go on"

    def look(self: Lines[int], **numbers: str) -> None:
        seen.append((self.under_way, numbers))
        if seen[-1] == (0.5, {"under_way": "25% and 25%"}):
            go_on.touch()

    monkeypatch.setattr("ser.progress.WATCH_SECONDS", 0.01)
    monkeypatch.setattr(Lines, "set_postfix", look)
    monkeypatch.setenv("CI", "true")
    map_long(quarter, [str(go_on)] * 2, at_once=2, description="test", unit="model")
    assert go_on.exists(), seen
    assert seen[-1] == (0, {})


def test_a_model_that_is_done_is_not_under_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is looked anew before the bar counts one, however long it would be until the next look."""
    seen: list[tuple[float, dict[str, str]]] = []
    monkeypatch.setattr(Lines, "set_postfix", lambda self, **numbers: seen.append((self.under_way, numbers)))
    monkeypatch.setenv("CI", "true")
    (tmp_path / "go on").touch()
    monkeypatch.setattr("ser.progress.WATCH_SECONDS", 600)
    map_long(quarter, [str(tmp_path / "go on")] * 2, at_once=2, description="test", unit="model")
    assert len(seen) == 2
    assert seen[-1] == (0, {})


@pytest.mark.parametrize("file", ["gone/0", "/dev/full"])
def test_work_goes_on_when_nobody_watches(file: str, tmp_path: Path) -> None:
    """When another model failed, or the disk is full, what is nearly done is not lost for want of a place to say so."""
    assert list(Noted(range(3), total=3, file=tmp_path / file)) == [0, 1, 2]
