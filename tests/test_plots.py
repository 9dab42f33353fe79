"""Pictures come from tables, show what they say, and are the same bytes twice."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import tables

from ser import metrics, plots

CLASSES = ["neutral", "happy", "sad"]
PNG = b"\x89PNG\r\n\x1a\n"


def history() -> pd.DataFrame:
    curves = {"loss": [1.5, 1.0, 0.5], "val_loss": [1.6, 1.2, 1.4], "accuracy": [0.3, 0.5, 0.9]}
    return pd.DataFrame({"epoch": [1, 2, 3], **curves, "val_accuracy": [0.3, 0.5, 0.4], "val_uar": [0.3, 0.5, 0.4]})


def counts() -> pd.DataFrame:
    rows = tables.predicted(["neutral", "neutral", "sad"], ["neutral", "sad", "sad"], classes=CLASSES)
    return metrics.confusion(rows, classes=CLASSES)


def board() -> pd.DataFrame:
    return pd.DataFrame({"model": ["lstm", "svm"], "uar": [0.61234, 0.5]})


def draw_confusion(path: Path, title: str = "svm, test clips") -> None:
    plots.confusion(counts(), path, title=title)


def draw_history(path: Path, title: str = "ravdess") -> None:
    plots.history(history(), path, title=title)


def draw_leaderboard(path: Path, title: str = "ravdess") -> None:
    plots.leaderboard(board(), path, chance=1 / 3, title=title)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect every text of the figures that are saved."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    found: list[str] = []
    save = Figure.savefig

    def spy(figure: Figure, *args: object, **kwargs: object) -> None:
        save(figure, *args, **kwargs)
        found.extend(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))

    monkeypatch.setattr(Figure, "savefig", spy)
    return found


@pytest.mark.parametrize("draw", [draw_confusion, draw_history, draw_leaderboard])
def test_a_picture_is_the_same_bytes_twice(tmp_path: Path, draw: Callable[[Path], None]) -> None:
    """A picture holds no time and no version, so that DVC and Git see a change only where there is one."""
    draw(tmp_path / "once.png")
    draw(tmp_path / "new folder" / "twice.png")
    once, twice = (tmp_path / "once.png").read_bytes(), (tmp_path / "new folder" / "twice.png").read_bytes()
    assert once.startswith(PNG)
    assert once == twice
    assert b"atplotlib" not in once


@pytest.mark.parametrize("draw", [draw_confusion, draw_history, draw_leaderboard])
def test_a_picture_bears_its_title(tmp_path: Path, texts: list[str], draw: Callable[..., None]) -> None:
    """What was tested on what stands in the picture, which may be passed on without its page."""
    draw(tmp_path / "picture.png", title="demo, synthetic")
    assert "demo, synthetic" in texts


def test_the_confusion_matrix_shows_shares_and_counts(tmp_path: Path, texts: list[str]) -> None:
    """Each row is in per cent of the emotion's clips, with the counts below; an emotion without clips has none."""
    draw_confusion(tmp_path / "confusion.png")
    assert [text for text in texts if "%" in text] == [
        *["50%\n1", "0%\n0", "50%\n1"],
        *["0%\n0", "0%\n0", "0%\n0"],
        *["0%\n0", "0%\n0", "100%\n1"],
    ]
    for name in (*CLASSES, "predicted", "true emotion"):
        assert name in texts


def test_the_history_marks_the_kept_epoch(tmp_path: Path, texts: list[str]) -> None:
    """The picture names the epoch with the best validation UAR, and every curve."""
    draw_history(tmp_path / "history.png")
    assert "weights kept: epoch 2" in texts
    for curve in ("loss", "val_loss", "accuracy", "val_accuracy", "val_uar", "epoch"):
        assert curve in texts


def test_the_leaderboard_shows_models_and_numbers(tmp_path: Path, texts: list[str]) -> None:
    """Every model stands there with its UAR."""
    draw_leaderboard(tmp_path / "leaderboard.png")
    for text in ("lstm", "svm", "0.612", "0.500"):
        assert text in texts


def test_a_failed_picture_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where the table cannot be drawn, no half-made picture is left."""
    with pytest.raises(AttributeError):
        plots.history(history().drop(columns="val_uar"), tmp_path / "history.png", title="")
    assert list(tmp_path.iterdir()) == []
