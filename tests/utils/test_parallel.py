"""The same function over many batches gives the same results, in order, in as many processes as one likes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import joblib
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ser.utils.errors import UserError
from ser.utils.parallel import batches, map_batches, map_tasks, n_workers
from ser.utils.progress import progress

both = pytest.mark.parametrize("workers", ["1", "2"])


def slow_first(batch: list[int]) -> tuple[list[int], int]:
    """Take the longer the earlier a batch is, so that later ones are ready first."""
    time.sleep(0.01 * (8 - batch[0]))
    return batch, os.getpid()


def threads(_batch: list[int]) -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info()]


def refuse(batch: list[int]) -> int:
    if batch == [3]:
        raise UserError("batch 3 is unusable")
    return batch[0]


@both
def test_results_come_in_the_order_of_batches(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One result a batch, in order, from as many processes as SER_WORKERS says: with one, from this process alone."""
    monkeypatch.setenv("SER_WORKERS", workers)
    results = list(map_batches(slow_first, ([n] for n in range(8)), description="test"))
    assert [batch for batch, _ in results] == [[n] for n in range(8)]
    processes = {process for _, process in results}
    assert (processes == {os.getpid()}) if workers == "1" else (len(processes) == 2 and os.getpid() not in processes)


@both
def test_batches_are_read_only_as_results_are_taken(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream larger than memory may pass, also where results are taken more slowly than they are made."""
    monkeypatch.setenv("SER_WORKERS", workers)
    read: list[int] = []

    def stream() -> Iterator[list[int]]:
        for n in range(100):
            read.append(n)
            yield [n]

    results = map_batches(len, stream(), description="test")
    assert read == []
    next(results)
    time.sleep(0.5)
    assert len(read) <= 32
    assert sum(1 for _ in results) == 99


@both
def test_a_batch_is_worked_on_by_one_thread(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """BLAS adds up in another order on several threads, so it has one, and afterwards as many as before."""
    monkeypatch.setenv("SER_WORKERS", workers)
    with threadpool_limits(2):
        before = threads([])
        results = list(map_batches(threads, [[0], [1]], description="test"))
        assert threads([]) == before
    assert 2 in before
    assert all(found and set(found) == {1} for found in results)


@both
def test_an_error_reaches_the_caller_as_it_is(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a batch raises is raised again, with its own type and message, and the next call works."""
    monkeypatch.setenv("SER_WORKERS", workers)
    with pytest.raises(UserError, match=r"^batch 3 is unusable$"):
        list(map_batches(refuse, [[n] for n in range(6)], description="test"))
    assert list(map_batches(refuse, [[1], [2]], description="test")) == [1, 2]


def test_the_number_of_workers_is_that_of_cores_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """SER_WORKERS says how many processes there are; without it each core has one; nonsense is refused."""
    monkeypatch.setenv("SER_WORKERS", "3")
    assert n_workers() == 3
    monkeypatch.delenv("SER_WORKERS")
    assert n_workers() == joblib.cpu_count()
    for nonsense in ("0", "-1", "all"):
        monkeypatch.setenv("SER_WORKERS", nonsense)
        with pytest.raises(UserError, match=f"SER_WORKERS is '{nonsense}'"):
            n_workers()


def test_a_stream_is_cut_into_batches() -> None:
    """Each has its size but the last, nothing is read ahead, and no items are no batches."""
    stream = iter(range(7))
    cut = batches(stream, size=3)
    assert next(cut) == [0, 1, 2]
    assert next(stream) == 3
    assert list(cut) == [[4, 5, 6]]
    assert list(batches(range(4), size=3)) == [[0, 1, 2], [3]]
    assert list(batches([], size=3)) == []


def task(n: int) -> tuple[int, int, str]:
    """Take the longer the earlier a task is, and return how many workers it may use."""
    time.sleep(0.1 * (4 - n))
    return n, os.getpid(), os.environ.get("SER_WORKERS", "")


def test_tasks_keep_their_order_and_get_one_core_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks run side by side on one core each, or one after the other in this process on all cores."""
    monkeypatch.setenv("SER_WORKERS", "3")
    results = map_tasks(task, range(4), n_jobs=2, description="test", unit="model")
    assert [(n, workers) for n, _, workers in results] == [(n, "1") for n in range(4)]
    assert os.getpid() not in {process for _, process, _ in results}
    for n_jobs, items in ((1, [1, 2]), (2, [3])):
        expected = [(n, os.getpid(), "3") for n in items]
        assert map_tasks(task, items, n_jobs=n_jobs, description="test", unit="model") == expected
    assert map_tasks(task, [], n_jobs=2, description="test", unit="model") == []


def fail_second(n: int) -> None:
    if n == 1:
        raise UserError("model 1 is unusable")
    time.sleep(60)


def test_the_first_failed_task_ends_the_others() -> None:
    """An error keeps its type, and nobody waits for the tasks beside it."""
    start = time.monotonic()
    with pytest.raises(UserError, match=r"^model 1 is unusable$"):
        map_tasks(fail_second, range(4), n_jobs=2, description="test", unit="model")
    assert time.monotonic() - start < 50


def shows_progress(_item: int) -> bool:
    return not progress([1], description="test", total=1).disable


def test_workers_show_no_progress() -> None:
    """Bars of several processes would overwrite each other."""
    assert shows_progress(0)
    assert map_tasks(shows_progress, [1, 2], n_jobs=2, description="test", unit="model") == [False, False]


INTERRUPTED = """
import time
from ser.utils.parallel import map_batches, map_tasks

def work(item):
    print("at work", flush=True)
    time.sleep(600)

CALL
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize(
    "call",
    [
        "map_tasks(work, range(4), n_jobs=2, description='test', unit='model')",
        "list(map_batches(work, ([n] for n in range(9)), description='test'))",
    ],
)
def test_no_worker_outlives_an_interruption(call: str, sent: signal.Signals) -> None:
    """Workers end soon after Ctrl-C and after their parent is killed, although their tasks take minutes."""
    command = [sys.executable, "-c", INTERRUPTED.replace("CALL", call)]
    with subprocess.Popen(
        command, env=os.environ | {"SER_WORKERS": "2"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        for _ in range(2):
            parent.stdout.readline()
        parent.send_signal(sent)
        parent.communicate(timeout=60)  # ends when no process has its output open
