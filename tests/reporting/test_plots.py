"""Pictures come from tables, show what they say, and are the same bytes twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.axes
import numpy as np
import pandas as pd
import pytest

from ser.evaluation import calibration, metrics
from ser.reporting import plots
from tests.helpers import factories, figures

CLASSES = ["neutral", "happy", "sad"]
PNG = b"\x89PNG\r\n\x1a\n"


def history() -> pd.DataFrame:
    curves = {"loss": [1.5, 1.0, 0.5], "val_loss": [1.6, 1.2, 1.4], "accuracy": [0.3, 0.5, 0.9]}
    return pd.DataFrame(
        {
            "fold": 1,
            "seed": 1,
            "epoch": [1, 2, 3],
            **curves,
            "val_accuracy": [0.3, 0.5, 0.4],
            "val_uar": [0.3, 0.6, 0.4],
        }
    )


def counts() -> pd.DataFrame:
    rows = factories.predicted(["neutral", "neutral", "sad"], ["neutral", "sad", "sad"], classes=CLASSES)
    return metrics.confusion(rows, classes=CLASSES)


def board() -> pd.DataFrame:
    return pd.DataFrame({"model": ["lstm", "svm"], "uar": [0.61234, 0.5]})


def draw_confusion(path: Path, title: str = "svm, test clips") -> None:
    plots.plot_confusion(counts(), path, title=title)


def draw_history(path: Path, title: str = "ravdess") -> None:
    plots.plot_history(history(), path, title=title)


def draw_leaderboard(path: Path, title: str = "ravdess") -> None:
    plots.plot_leaderboard(board(), path, chance=1 / 3, title=title)


def draw_intervals(path: Path, title: str = "models") -> None:
    table = pd.DataFrame({"name": ["svm", "knn"], "value": [0.61234, np.nan], "low": [0.5, np.nan]})
    plots.plot_confidence_intervals(
        table.assign(high=table.low + 0.2, strong=True), path, chance=0.125, label="UAR", title=title
    )


def draw_roc(path: Path, title: str = "svm") -> None:
    curve = pd.DataFrame({"fpr": [0.0, 0.2, 1.0], "tpr": [0.0, 0.9, 1.0]})
    plots.plot_roc({f"emotion {n} 0.85": curve for n in range(12)}, path, title=title)


def draw_reliability(path: Path, title: str = "svm") -> None:
    bins = calibration.reliability(factories.predicted(["sad", "sad"], ["sad", "happy"], classes=CLASSES))
    plots.plot_reliability({"before": bins, "after": bins}, path, title=title)


def draw_uar_by_speaker(path: Path, title: str = "svm", n: int = 3) -> None:
    table = pd.DataFrame({"speaker": [f"{i:02}" for i in range(n)], "sex": "female", "uar": 0.5})
    plots.plot_uar_by_speaker(table, path, overall=0.5, chance=0.125, title=title)


DRAWN = [
    *[draw_confusion, draw_history, draw_leaderboard],
    *[draw_intervals, draw_roc, draw_reliability, draw_uar_by_speaker],
]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return figures.collect_texts(monkeypatch)


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return figures.collect_axes(monkeypatch)


@pytest.mark.parametrize("draw", DRAWN)
def test_a_picture_is_the_same_bytes_twice(tmp_path: Path, draw: Callable[[Path], None]) -> None:
    """A picture holds no time and no version, so that DVC and Git see a change only where there is one."""
    draw(tmp_path / "once.png")
    draw(tmp_path / "new folder" / "twice.png")
    once, twice = (tmp_path / "once.png").read_bytes(), (tmp_path / "new folder" / "twice.png").read_bytes()
    assert once.startswith(PNG)
    assert once == twice
    assert b"atplotlib" not in once


@pytest.mark.parametrize("draw", DRAWN)
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


def test_the_history_of_several_models_is_their_mean(tmp_path: Path, texts: list[str]) -> None:
    """Of folds and seeds the picture says how many they are, and marks no single epoch; some may end early."""
    several = pd.concat([history(), history().assign(fold=2), history().assign(seed=2)[:2]], ignore_index=True)
    plots.plot_history(several, tmp_path / "history.png", title="")
    assert "mean and range of 3 models" in texts
    assert not [text for text in texts if "weights kept" in text]


def test_the_leaderboard_shows_models_and_numbers(tmp_path: Path, texts: list[str]) -> None:
    """Every model stands there with its UAR."""
    draw_leaderboard(tmp_path / "leaderboard.png")
    for text in ("lstm", "svm", "0.612", "0.500"):
        assert text in texts


def test_the_leaderboard_shows_how_sure_its_numbers_are(tmp_path: Path, texts: list[str], panels: list[Any]) -> None:
    """Each bar has its limits, which need not hold its end, and what they are stands below."""
    table = board().assign(uar_low=[0.55, 0.41], uar_high=[0.6, 0.7], tied_with_best=True)
    plots.plot_leaderboard(table, tmp_path / "leaderboard.png", chance=1 / 3, title="", limits="lines: 95 % interval")
    segments = [segment.tolist() for lines in panels[0].collections for segment in lines.get_segments()]
    for wanted in ([[0.55, 0], [0.6, 0]], [[0.41, 1], [0.7, 1]]):
        assert wanted in segments
    ends = {tuple(line.get_xdata()) for line in panels[0].lines if line.get_marker() == "|"}
    assert ends == {(0.55, 0.41), (0.6, 0.7)}
    assert any(text.endswith("\nlines: 95 % interval") for text in texts)


def test_a_model_that_is_worse_is_pale(tmp_path: Path, panels: list[Any]) -> None:
    """Colour tells the best, and those not shown to be worse, from the others."""
    table = board().assign(uar_low=[0.5, 0.4], uar_high=[0.7, 0.5], tied_with_best=[True, False])
    plots.plot_leaderboard(table, tmp_path / "leaderboard.png", chance=1 / 3, title="")
    best, worse = (bar.get_facecolor() for bar in panels[0].patches)
    assert sum(worse[:3]) > sum(best[:3]) + 0.5


def test_a_leaderboard_without_limits(tmp_path: Path, panels: list[Any], texts: list[str]) -> None:
    """Where a model has no interval, none is drawn, and nothing stands for it."""
    table = board().assign(uar_low=[0.5, np.nan], uar_high=[0.7, np.nan])
    plots.plot_leaderboard(table, tmp_path / "leaderboard.png", chance=1 / 3, title="")
    drawn = [segment for lines in panels[0].collections for segment in lines.get_segments() if len(segment)]
    assert {tuple(segment[:, 1]) for segment in drawn if not np.isnan(segment).any()} == {(0, 0)}
    assert "nan" not in texts


def test_a_dot_at_the_edge_is_whole(tmp_path: Path, panels: list[Any]) -> None:
    """A recall of 1 is drawn as a dot, not as half of one."""
    draw_intervals(tmp_path / "intervals.png")
    assert not panels[0].collections[-1].get_clip_on()


def test_an_interval_bears_its_number_and_one_that_is_none_does_not(tmp_path: Path, texts: list[str]) -> None:
    """A value is read as well as seen; where there is none, nothing stands, and no "nan"."""
    draw_intervals(tmp_path / "intervals.png")
    assert {"svm", "knn", "0.612"} <= set(texts)
    assert "nan" not in texts


def test_the_margins_of_a_confusion_matrix_are_even(tmp_path: Path) -> None:
    """A square matrix stands in the middle of its picture, or long titles and labels push it aside."""
    from matplotlib.image import imread

    draw_confusion(tmp_path / "confusion.png", title="svm")
    ink = (imread(tmp_path / "confusion.png")[..., :3] < 0.99).any(axis=(0, 2)).nonzero()[0]
    left, right = ink[0], imread(tmp_path / "confusion.png").shape[1] - 1 - ink[-1]
    assert abs(left - right) <= 2


def styles(panel: Any) -> dict[str, str]:
    handles, names = panel.get_legend_handles_labels()
    return {name: handle.get_linestyle() for handle, name in zip(handles, names, strict=True)}


def test_curves_that_are_one_are_drawn_once(tmp_path: Path, panels: list[Any]) -> None:
    """On balanced data accuracy is UAR: one curve stands for both, and says so, as one would hide the other."""
    balanced = history().assign(val_accuracy=lambda table: table.val_uar + 1e-9)
    plots.plot_history(balanced, tmp_path / "history.png", title="")
    assert list(styles(panels[1])) == ["accuracy", "val_uar (val_accuracy is the same)"]


def test_curves_that_are_near_each_other_are_seen(tmp_path: Path, panels: list[Any]) -> None:
    """On other data there are both, and the one that is drawn over the other is dashed."""
    draw_history(tmp_path / "history.png")
    assert styles(panels[1]) == {"accuracy": "-", "val_uar": "-", "val_accuracy": "--"}


def test_speakers_are_named_where_there_is_room(tmp_path: Path, texts: list[str]) -> None:
    """Thirty speakers can be told apart below their bars, and ninety-one cannot."""
    draw_uar_by_speaker(tmp_path / "many.png", n=91)
    assert "00" not in texts
    draw_uar_by_speaker(tmp_path / "few.png", n=30)
    assert {"00", "29", "female", "chance", "all speakers"} <= set(texts)


def test_a_failed_picture_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where the table cannot be drawn, no half-made picture is left."""
    with pytest.raises(AttributeError):
        plots.plot_history(history().drop(columns="val_uar"), tmp_path / "history.png", title="")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("last", "epoch"), [(False, "epoch 2"), (True, "epoch 3, the last")])
def test_the_history_says_which_weights_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: bool, epoch: str
) -> None:
    """Those of the best epoch on validation, or of the last, where all epochs are run."""
    said: list[str] = []
    drawn = pd.DataFrame(
        {"fold": 1, "seed": 1, "epoch": [1, 2, 3], "loss": 1.0, "val_loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.5}
    ).assign(val_uar=[0.1, 0.9, 0.5])
    original = matplotlib.axes.Axes.set_title
    monkeypatch.setattr(
        matplotlib.axes.Axes, "set_title", lambda self, text, **more: (said.append(text), original(self, text, **more))
    )
    plots.plot_history(drawn, tmp_path / "history.png", title="ravdess", last=last)
    assert said == [f"weights kept: {epoch}"]
