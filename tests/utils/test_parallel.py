"""Results are in order and the same in any number of processes."""

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


@pytest.fixture(params=["1", "2"])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SER_WORKERS", request.param)
    return str(request.param)


def task(n: int) -> tuple[int, int, str]:
    """Take longer for earlier tasks, and return the number of workers that the task may use."""
    time.sleep(0.1 * (4 - n))
    return n, os.getpid(), os.environ.get("SER_WORKERS", "")


def n_threads(_batch: list[int]) -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info()]


def fail_on_3(batch: list[int]) -> int:
    if batch == [3]:
        raise UserError("batch 3 is unusable")
    return batch[0]


def test_results_have_the_order_of_batches(workers: str) -> None:
    """Batches are processed by SER_WORKERS processes; a single one is this process."""
    results = list(map_batches(lambda batch: task(*batch), ([n] for n in range(4)), description="test"))
    assert [n for n, _, _ in results] == list(range(4))
    processes = {process for _, process, _ in results}
    assert len(processes) == int(workers)
    assert (os.getpid() in processes) == (workers == "1")


@pytest.mark.usefixtures("workers")
def test_batches_are_read_lazily() -> None:
    """The stream may be larger than memory, also if results are consumed slowly."""
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


@pytest.mark.usefixtures("workers")
def test_a_batch_is_processed_by_one_thread() -> None:
    """BLAS has one thread, as its sums depend on their number; afterwards it has as many as before."""
    with threadpool_limits(2):
        before = n_threads([])
        results = list(map_batches(n_threads, [[0], [1]], description="test"))
        assert n_threads([]) == before
    assert 2 in before
    assert all(set(counts) == {1} for counts in results)


@pytest.mark.usefixtures("workers")
def test_an_error_is_raised_unchanged() -> None:
    """It keeps its type and message, and the next call works."""
    with pytest.raises(UserError, match=r"^batch 3 is unusable$"):
        list(map_batches(fail_on_3, [[n] for n in range(6)], description="test"))
    assert list(map_batches(fail_on_3, [[1], [2]], description="test")) == [1, 2]


def test_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the number of cores by default; invalid values of SER_WORKERS are refused."""
    monkeypatch.delenv("SER_WORKERS", raising=False)
    assert n_workers() == joblib.cpu_count()
    for invalid in ("0", "all"):
        monkeypatch.setenv("SER_WORKERS", invalid)
        with pytest.raises(UserError, match=f"SER_WORKERS is '{invalid}'"):
            n_workers()


def test_a_stream_is_split_into_batches() -> None:
    """Only the last batch may be shorter, and nothing is read ahead."""
    stream = iter(range(6))
    result = batches(stream, size=3)
    assert next(result) == [0, 1, 2]
    assert next(stream) == 3
    assert list(result) == [[4, 5]]


def test_tasks_keep_their_order_and_use_one_core_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single task or process runs in this process on all cores."""
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
    """An error is raised unchanged, without waiting for the other tasks."""
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
def test_no_worker_survives_an_interruption(call: str, sent: signal.Signals) -> None:
    """Workers end soon after Ctrl-C and after their parent is killed, although their tasks take minutes."""
    command = [sys.executable, "-c", INTERRUPTED.replace("CALL", call)]
    with subprocess.Popen(
        command, env=os.environ | {"SER_WORKERS": "2"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        for _ in range(2):
            parent.stdout.readline()
        parent.send_signal(sent)
        parent.communicate(timeout=60)  # returns when no process has its output open
