"""Figures of results show the values of their tables, and are reproducible."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import calibration, metrics
from ser.reporting import plots
from tests.helpers import factories, figures
from tests.reporting import test_data_plots

CLASSES = ["neutral", "happy", "sad"]


def history() -> pd.DataFrame:
    curves = {"loss": [1.5, 1.0, 0.5], "val_loss": [1.6, 1.2, 1.4], "accuracy": [0.3, 0.5, 0.9]}
    scores = {"val_accuracy": [0.3, 0.5, 0.4], "val_uar": [0.3, 0.6, 0.4]}
    return pd.DataFrame({"fold": 1, "seed": 1, "epoch": [1, 2, 3], **curves, **scores})


def counts() -> pd.DataFrame:
    rows = factories.predicted(["neutral", "neutral", "sad"], ["neutral", "sad", "sad"], classes=CLASSES)
    return metrics.confusion(rows, classes=CLASSES)


def bins() -> pd.DataFrame:
    return calibration.reliability(factories.predicted(["sad", "sad"], ["sad", "happy"], classes=CLASSES))


def intervals() -> pd.DataFrame:
    ranking = pd.DataFrame({"uar": [0.61234, 0.5, np.nan], "uar_ci_low": [0.55, 0.41, np.nan]})
    ranking["uar_ci_high"] = [0.6, 0.7, np.nan]  # the first interval excludes its UAR
    return plots.uar_intervals(ranking, pd.Series(["lstm", "svm", "knn"]), strong=pd.Series([True, False, True]))


def speakers(n: int) -> pd.DataFrame:
    return pd.DataFrame({"speaker": [f"{i:02}" for i in range(n)], "sex": "female", "uar": 0.5})


CURVE = pd.DataFrame({"fpr": [0.0, 0.2, 1.0], "tpr": [0.0, 0.9, 1.0]})
TIMELINE = pd.DataFrame({"start": [0.0, 1.0], "end": [1.0, 2.0], "happy": [0.7, np.nan], "sad": [0.3, np.nan]})
DRAWN: dict[str, Callable[..., None]] = {
    "confusion": partial(plots.plot_confusion, counts()),
    "history": partial(plots.plot_history, history()),
    "intervals": partial(plots.plot_confidence_intervals, intervals(), chance=0.125, label="UAR"),
    "roc": partial(plots.plot_roc, {f"emotion {n}": CURVE for n in range(12)}),
    "reliability": partial(plots.plot_reliability, {"before": bins(), "after": bins()}),
    "uar_by_speaker": partial(plots.plot_uar_by_speaker, speakers(3), overall=0.5, chance=0.125),
    "timeline": partial(plots.plot_timeline, TIMELINE, pd.Series([0.1, 0.5, 0.0]), [(0.0, 1.0)]),
    **test_data_plots.DRAWN,
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_figure_has_its_title(tmp_path: Path, draw: Callable[..., None]) -> None:
    """A PNG holds no version, and a $ in a title starts no formula."""
    path = tmp_path / "new folder" / "figure.png"
    assert "a_$x_$y.wav" in figures.texts(figures.draw(draw, path, title="a_$x_$y.wav"))
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert b"atplotlib" not in path.read_bytes()


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    """Another process, with another hash seed and at another time, writes the same files."""
    code = "import sys, tests.reporting.test_plots as t; t.draw_all(t.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], cwd=figures.ROOT, env=environment, check=True)
    draw_all(tmp_path / "b")
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second


def draw_all(folder: Path) -> None:
    for name, draw in DRAWN.items():
        draw(folder / f"{name}.png", title="")


def test_confusion_shows_fractions_and_counts(tmp_path: Path) -> None:
    """Each row is in percent of the emotion's clips; an emotion without clips is a row of zeros."""
    [axes] = figures.draw(DRAWN["confusion"], tmp_path / "confusion.png").axes
    assert axes.images[0].get_array().tolist() == [[0.5, 0, 0.5], [0, 0, 0], [0, 0, 1]]
    cells = [text.get_text() for text in axes.texts]
    assert cells == ["50%\n1", "0%\n0", "50%\n1", *["0%\n0"] * 5, "100%\n1"]


@pytest.mark.parametrize(("last", "epoch"), [(False, 2), (True, 3)])
def test_history_marks_the_selected_epoch(tmp_path: Path, last: bool, epoch: int) -> None:
    """The epoch with the highest validation UAR, or the last one."""
    figure = figures.draw(DRAWN["history"], tmp_path / "history.png", last=last)
    for panel in figure.axes:
        assert list(panel.lines[-1].get_xdata()) == [epoch, epoch]


def test_history_of_several_models_is_their_mean(tmp_path: Path) -> None:
    """Of several folds and seeds, no single epoch is marked; some may have fewer epochs."""
    tables = [history(), history().assign(fold=2, loss=2.5), history().assign(seed=2)[:2]]
    several = pd.concat(tables, ignore_index=True)
    figure = figures.draw(partial(plots.plot_history, several), tmp_path / "history.png")
    loss, scores = figure.axes
    assert loss.lines[0].get_ydata() == pytest.approx([(1.5 + 2.5 + 1.5) / 3, (1 + 2.5 + 1) / 3, (0.5 + 2.5) / 2])
    assert (len(loss.get_legend().texts), len(scores.get_legend().texts)) == (2, 3)
    assert "Mean and range of 3 models" in figures.texts(figure)


def test_history_plots_equal_curves_once(tmp_path: Path) -> None:
    """On balanced validation data, accuracy is UAR."""
    balanced = history().assign(val_accuracy=lambda table: table.val_uar + 1e-9)
    figure = figures.draw(partial(plots.plot_history, balanced), tmp_path / "history.png")
    legend = [text.get_text() for text in figure.axes[1].get_legend().texts]
    assert legend == ["Training accuracy", "Validation UAR and accuracy"]


def test_confidence_intervals_show_values(tmp_path: Path) -> None:
    """Dots of worse models are hollow; intervals may exclude the value; a missing value leaves the name only."""
    figure = figures.draw(DRAWN["intervals"], tmp_path / "intervals.png")
    intervals, dots = figure.axes[0].collections
    segments = [segment.tolist() for segment in intervals.get_segments()[:2]]
    assert segments == [[[0.55, 0], [0.6, 0]], [[0.41, 1], [0.7, 1]]]
    assert dots.get_offsets()[:2].tolist() == [[0.61234, 0], [0.5, 1]]
    assert dots.get_facecolors()[1].tolist() == [1, 1, 1, 1] != dots.get_facecolors()[0].tolist()
    assert {"lstm", "svm", "knn", "0.612", "0.500"} <= set(figures.texts(figure))
    assert "nan" not in figures.texts(figure)


def test_roc_shows_every_curve_and_its_area(tmp_path: Path) -> None:
    """Twelve curves differ in colour or line style; the legend has their areas."""
    [axes] = figures.draw(DRAWN["roc"], tmp_path / "roc.png").axes
    curves = axes.lines[1:]  # the first is chance
    assert len({(curve.get_color(), curve.get_linestyle()) for curve in curves}) == 12
    assert all(curve.get_xydata().tolist() == [[0, 0], [0.2, 0.9], [1, 1]] for curve in curves)
    assert axes.get_legend().texts[1].get_text() == "emotion 0 (AUC = 0.85)"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("False positive rate", "True positive rate")
    plots.plot_roc({}, tmp_path / "roc.png", title="")  # a test set of one emotion


def test_reliability_shows_bins_with_predictions(tmp_path: Path) -> None:
    """Empty bins are left out of the curve, and are zero in the histogram."""
    draw = partial(plots.plot_reliability, {"no temperature scaling": bins()})
    upper, lower = figures.draw(draw, tmp_path / "reliability.png").axes
    full = bins()[lambda table: table.clips > 0]
    assert upper.lines[-1].get_xydata().tolist() == full[["confidence", "accuracy"]].to_numpy().tolist()
    assert lower.lines[0].get_ydata()[:-1].tolist() == bins().clips.tolist()
    assert (lower.get_xlabel(), upper.get_ylabel()) == ("Mean confidence", "Accuracy")


@pytest.mark.parametrize("n", [30, 91])
def test_uar_by_speaker_has_a_dot_per_speaker(tmp_path: Path, n: int) -> None:
    """Speakers are named if there are few."""
    draw = partial(plots.plot_uar_by_speaker, speakers(n), overall=0.5, chance=0.125)
    figure = figures.draw(draw, tmp_path / "speakers.png")
    assert figure.axes[0].collections[0].get_offsets().tolist() == [[i, 0.5] for i in range(n)]
    assert ("00" in figures.texts(figure)) == (n == 30)


def test_other_emotions_have_colours() -> None:
    """Emotions of a custom corpus have different colours."""
    assert len(set(plots.label_colours(["neutral", "bored", "amused"]).values())) == 3
