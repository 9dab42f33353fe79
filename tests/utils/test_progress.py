"""Progress is a bar in a terminal, and a few lines in logs."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from ser.utils.progress import LogProgress, progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace the clock of tqdm."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("tqdm.std.time", lambda: clock.now)
    return clock


@pytest.fixture
def lines(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Process items that take some seconds each, and return the lines of the log."""

    def work(n: int, *, seconds: float, total: int | None) -> list[str]:
        for _ in LogProgress(iter(range(n)), desc="train svm", total=total, unit="model"):
            clock.now += seconds
        return capsys.readouterr().err.splitlines()

    return work


def test_a_log_has_at_most_one_line_per_half_minute(lines: Callable[..., list[str]]) -> None:
    """Lines show count, total, elapsed and remaining time; the last one is written at the end, none twice."""
    log = lines(20, seconds=12.5, total=20)
    assert [line.split(",")[0] for line in log] == [f"train svm: {n}/20" for n in (3, 6, 9, 12, 15, 18, 20)]
    assert log[0] == "train svm: 3/20, 00:37 elapsed, 03:32 left, 12.50s/model"
    assert [line.split(",")[0] for line in lines(2, seconds=61, total=2)] == ["train svm: 1/2", "train svm: 2/2"]


def test_short_work_and_work_of_unknown_length(lines: Callable[..., list[str]]) -> None:
    """Work of less than half a minute writes no line; without a total there is no remaining time."""
    assert lines(99, seconds=0.1, total=99) == []
    log = lines(4, seconds=20, total=None)
    assert log == ["train svm: 2model [00:40, 20.00s/model]", "train svm: 4model [01:20, 20.00s/model]"]


def test_the_count_may_decrease(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    """Discarded bytes are subtracted, and a line ends with the postfix."""
    with LogProgress((), desc="fetch a.zip", total=208_000_000, unit="B", unit_scale=True) as bar:
        bar.update(104_000_000)
        bar.set_postfix(retries="1", refresh=False)
        clock.now += 40
        bar.update(-52_000_000)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("fetch a.zip: 52.0M/208M, 00:40 elapsed, ")
    assert line.endswith("B/s, retries=1")


@pytest.mark.parametrize(("terminal", "ci", "bar"), [(True, "", True), (True, "true", False), (False, "", False)])
def test_only_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, terminal: bool, ci: str, bar: bool) -> None:
    """In CI and in a file a bar would fill the log."""
    monkeypatch.setattr("ser.utils.progress.sys.stderr.isatty", lambda: terminal)
    monkeypatch.setenv("CI", ci)
    with progress([1], description="test", total=1) as shown:
        assert isinstance(shown, LogProgress) != bar


def test_a_bar_is_refreshed_while_an_item_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The elapsed time is updated although no item is finished, until the bar is closed."""
    monkeypatch.setattr("ser.utils.progress.sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("ser.utils.progress.REFRESH_SECONDS", 0.01)
    monkeypatch.setenv("CI", "")
    output, end = "", time.monotonic() + 60
    for _ in progress([1], description="test", total=1):
        while output.count("0/1") < 3 and time.monotonic() < end:
            output += capsys.readouterr().err
    assert output.count("0/1") >= 3
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""
