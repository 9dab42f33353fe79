"""Logs get few lines that say how far work is, and terminals a bar."""

import threading
import time
from collections.abc import Callable

import pytest

from ser.errors import InputError
from ser.progress import ELSEWHERE, Lines, progress


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Work on items that take some seconds each by a clock of the test's own, and read the lines that come of it."""

    def work(n: int, *, seconds: float, total: int | None, unit: str = "clip") -> list[str]:
        now = [100.0]
        lines = Lines(range(n), description="train svm", total=total, unit=unit, clock=lambda: now[0], beats=False)
        for _ in lines:
            now[0] += seconds
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err.splitlines()

    return work


def test_a_log_gets_a_line_for_each_tenth(said: Callable[..., list[str]]) -> None:
    """Lines say what is done, of how much, since when, and how long it will take; a line a tenth and not a clip."""
    lines = said(200, seconds=1.25, total=200)
    assert len(lines) == 10
    assert lines[0] == "train svm: 20 of 200 clips (10 %) after 25 s, about 3 min 45 s left"
    assert lines[-1] == "train svm: 200 of 200 clips (100 %) after 4 min 10 s, done"


def test_a_log_gets_a_line_in_half_a_minute(said: Callable[..., list[str]]) -> None:
    """Where a tenth takes long, time decides; an hour is no number of minutes."""
    lines = said(5, seconds=40, total=1000)
    assert len(lines) == 5
    assert lines[0] == "train svm: 1 of 1,000 clips (0 %) after 40 s, about 11 h 6 min left"


def test_short_work_says_nothing(said: Callable[..., list[str]]) -> None:
    """What is done in less than ten seconds leaves no line, however many items it is."""
    assert said(99, seconds=0.1, total=99) == []
    assert said(0, seconds=1, total=0) == []


def test_work_of_unknown_length(said: Callable[..., list[str]]) -> None:
    """Where nobody knows how much there is, nothing is said of what is left."""
    assert said(7, seconds=10, total=None, unit="batch") == [
        "train svm: 3 batches after 30 s",
        "train svm: 6 batches after 1 min 0 s",
    ]


def test_one_thing_is_not_called_several(said: Callable[..., list[str]]) -> None:
    """A single model that took long is said to be done."""
    assert said(1, seconds=61, total=1, unit="model") == ["train svm: 1 of 1 model (100 %) after 1 min 1 s, done"]


def test_what_is_under_way_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Models that train side by side say what is left before one is done, and it does not grow while they train."""
    now = [0.0]
    with Lines((), description="train lstm", total=5, unit="model", clock=lambda: now[0]) as lines:
        for second, done, under_way in ((75, 0, 1.0), (150, 1, 0.99), (150, 1, 0), (225, 0, 1.0), (420, 2, 0.8)):
            now[0], lines.under_way = second, under_way
            lines.update(done)
    assert [line.partition(" after ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "1 min 15 s, about 5 min 0 s left",
        "2 min 30 s, about 3 min 47 s left",
        "2 min 30 s, about 3 min 45 s left",
        "3 min 45 s, about 2 min 30 s left",
        "7 min 0 s, about 18 s left",
    ]


def test_bytes_are_megabytes(capsys: pytest.CaptureFixture[str]) -> None:
    """What is fetched is counted as people count it, also where something is dropped and comes again."""
    now = [0.0]
    with Lines((), description="fetch a.zip", total=208_000_000, unit="B", clock=lambda: now[0]) as lines:
        lines.update(104_000_000)
        lines.update(-52_000_000)
        now[0] = 30
        lines.update(0)
    assert capsys.readouterr().err == "fetch a.zip: 52 of 208 MB (25 %) after 30 s, about 1 min 30 s left\n"


def test_one_item_that_takes_long_is_no_silence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines come while a single model is trained, and end with it, also where it fails."""
    for name, value in {"SILENT_SECONDS": 0, "LINE_SECONDS": 0, "BEAT_SECONDS": 0.01}.items():
        monkeypatch.setattr(f"ser.progress.{name}", value)
    said, end = "", time.monotonic() + 60

    def train() -> None:
        nonlocal said
        for _ in Lines([1], description="train svm", total=1, unit="model"):
            while "\n" not in said and time.monotonic() < end:
                said += capsys.readouterr().err
            raise InputError("no good")

    with pytest.raises(InputError):
        train()
    assert said.splitlines()[0] == "train svm: 0 of 1 model (0 %) after 0 s"
    for thread in threading.enumerate():
        if thread.name == "progress of train svm":
            thread.join(60)
            assert not thread.is_alive()


def test_work_within_work_speaks_for_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """While epochs of a single model tell how far it is, that no model is done yet is not said again and again."""
    for name, value in {"SILENT_SECONDS": 0, "LINE_SECONDS": 0, "BEAT_SECONDS": 0.01}.items():
        monkeypatch.setattr(f"ser.progress.{name}", value)
    said, end = "", time.monotonic() + 60
    for _ in Lines([1], description="train models", total=1, unit="model"):
        for _ in Lines([1], description="train epochs", total=1, unit="epoch"):
            capsys.readouterr()
            while said.count("\n") < 20 and time.monotonic() < end:
                said += capsys.readouterr().err
    assert {line.partition(":")[0] for line in said.splitlines()} == {"train epochs"}


def test_what_was_spoken_of_is_not_said_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the epochs are done, a log does not go on with no model being done; that one is comes when it is."""
    monkeypatch.setattr("ser.progress.BEAT_SECONDS", 60)
    now = [0.0]
    models = Lines([1], description="train models", total=1, unit="model", clock=lambda: now[0])
    for _ in models:
        for _ in Lines([1], description="train epochs", total=1, unit="epoch", clock=lambda: now[0]):
            now[0] = 100
        now[0] = 110
        models.update(0)
    assert [line.partition(" after")[0] for line in capsys.readouterr().err.splitlines()] == [
        "train epochs: 1 of 1 epoch (100 %)",
        "train models: 1 of 1 model (100 %)",
    ]


def test_lines_bear_the_last_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """A log shows the loss too, as the bar does."""
    now = [0.0]
    lines = Lines(range(2), description="train lstm", total=2, unit="epoch", clock=lambda: now[0], beats=False)
    for _ in lines:
        now[0] += 20
        lines.set_postfix(loss="0.500", val_uar="0.610")
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "train lstm: 1 of 2 epochs (50 %) after 20 s, about 20 s left, loss=0.500, val_uar=0.610"


@pytest.mark.parametrize(("terminal", "ci", "bar"), [(True, "", True), (True, "true", False), (False, "", False)])
def test_a_terminal_gets_a_bar_and_a_log_lines(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, ci: str, bar: bool
) -> None:
    """A bar is for those who watch; in CI, as in a file, it would fill the log."""
    monkeypatch.setattr("ser.progress.sys.stderr.isatty", lambda: terminal)
    monkeypatch.setenv("CI", ci)
    monkeypatch.delenv(ELSEWHERE, raising=False)
    assert isinstance(progress([1], description="test", total=1), Lines) != bar
