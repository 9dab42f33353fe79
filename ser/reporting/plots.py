"""Plot the results of a run: confusion, learning curves, confidence intervals, ROC, calibration, timelines.

All functions write a PNG to `path`, with `title` above the figure.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DPI = 120
AFTER = "#4c78a8"
GREY = "#555555"
TITLE_CHARACTERS_PER_INCH = 12.5
SAME_LINE = 0.005
"""Largest difference between two curves that are drawn as one."""
CURVES = {
    "loss": "Training loss",
    "val_loss": "Validation loss",
    "accuracy": "Training accuracy",
    "val_uar": "Validation UAR",
    "val_accuracy": "Validation accuracy",
}
SEX_COLOURS = {"female": "#e07b39", "male": "#4c78a8", "unknown": "#9a9a9a"}
EMOTION_COLOURS = {
    "neutral": "#7d8894",
    "calm": "#2f9488",
    "happy": "#b88600",
    "sad": "#4c78a8",
    "angry": "#cf4457",
    "fearful": "#8a63b8",
    "disgust": "#6a8d2f",
    "surprised": "#d9691e",
}
"""Contrast of at least 3 with white and with black."""
OTHER_COLOURS = ("#a0522d", "#c2559d", "#5566cc", "#008b9e")
"""Colours of further emotions."""
FEW_SPEAKERS = 30
"""Largest number of speakers whose names fit below the axis."""
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.subplot.bottom": 0,
    "figure.subplot.left": 0,
    "figure.subplot.right": 1,
    "figure.subplot.top": 1,
    "legend.fontsize": "small",
    "legend.frameon": False,
    "text.parse_math": False,  # a $ in the name of a file starts no formula
}
ABOVE: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2, "columnspacing": 1}
"""Place of a legend above a panel."""


@contextmanager
def open_figure(
    path: Path, *, width: float, height: float, title: str, above: float = 0.15, **grid: Any
) -> Iterator[Any]:
    """Open a figure and save it as PNG, without the date and versions that would change its bytes.

    Parameters
    ----------
    width, height
        Size of the panels in inches; labels and the title are outside.
    above
        Space between the panels and the title in inches.
    grid
        Arguments of ``Figure.subplots``, whose result is yielded.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI)
        yield figure.subplots(**grid)
        length = int((width + 1) * TITLE_CHARACTERS_PER_INCH)
        title = "\n".join(textwrap.fill(line, length, break_on_hyphens=False) for line in title.splitlines())
        figure.suptitle(title, x=0, y=1 + above / height, ha="left", va="bottom", fontsize="medium")
        path.parent.mkdir(parents=True, exist_ok=True)
        box = figure.get_tightbbox().padded(0.1)  # "tight" would also draw the figure, which takes longer
        figure.savefig(path, metadata={"Software": None}, bbox_inches=box)


def plot_confusion(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """Plot a confusion matrix: each row in percent of the emotion's clips, with the counts below.

    Parameters
    ----------
    counts
        Counts by emotion (rows) and predicted emotion (columns), of `ser.evaluation.metrics.confusion`.
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    fractions = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    size = 0.7 * len(counts)
    with open_figure(path, width=size, height=size, title=title) as axes:
        display = ConfusionMatrixDisplay(fractions, display_labels=list(counts.columns))
        display.plot(ax=axes, cmap="Blues", colorbar=False, im_kw={"vmin": 0, "vmax": 1})
        for text, fraction, count in zip(display.text_.flat, fractions.flat, counts.to_numpy().flat, strict=True):
            text.set(text=f"{fraction:.0%}\n{count}", color="white" if fraction > 0.6 else "black")
        axes.set(xlabel="Predicted emotion", ylabel="True emotion")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")


def plot_history(table: pd.DataFrame, path: Path, *, title: str, last: bool = False) -> None:
    """Plot loss, UAR and accuracy by epoch: of one model with the selected epoch, of several their mean and range.

    Parameters
    ----------
    table
        Histories as `ser.models.trainer.fit` returns them, with columns fold and seed.
    last
        Whether the last epoch is selected, and not the epoch with the highest validation UAR.

    Notes
    -----
    If every class has the same number of validation clips, accuracy equals UAR: one curve then stands for both.
    """
    import seaborn as sns

    models = table.groupby(["fold", "seed"])
    best = models.epoch.max() if last else table.epoch[models.val_uar.idxmax()]
    selected = f"Dotted: {'last' if last else 'best'} epoch ({best.iloc[0]})"
    note = selected if len(best) == 1 else f"Mean and range of {len(best)} models"
    names, scores = CURVES, ["Training accuracy", "Validation UAR", "Validation accuracy"]
    if (table.val_uar - table.val_accuracy).abs().max() <= SAME_LINE:
        names, scores = CURVES | {"val_uar": "Validation UAR and accuracy"}, [scores[0], "Validation UAR and accuracy"]
    curves = {"Loss": ["Training loss", "Validation loss"], "Accuracy or UAR": scores}
    dashes = {"Validation accuracy": (2, 2)}  # close to validation UAR, which stays visible below dashes
    with open_figure(path, width=8, height=3, title=title, above=0.35, ncols=2) as axes:
        for panel, (label, columns) in zip(axes, curves.items(), strict=True):
            long = table.rename(columns=names).melt("epoch", columns, var_name="curve", value_name="value")
            styles = {name: dashes.get(name, "") for name in columns}
            options = {"hue": "curve", "style": "curve", "dashes": styles, "linewidth": 2, "errorbar": ("pi", 100)}
            sns.lineplot(long, x="epoch", y="value", ax=panel, **options)
            panel.set(xlabel="Epoch", ylabel=label)
            panel.locator_params(axis="x", integer=True)
            if len(best) == 1:
                panel.axvline(best.iloc[0], color="grey", linestyle=":", linewidth=1)
            panel.legend(title=None, loc="upper right" if label == "Loss" else "lower right")
        axes[0].set_title(note, loc="left", fontsize="medium")


def uar_intervals(scores: pd.DataFrame, names: pd.Series | str, *, strong: pd.Series | bool) -> pd.DataFrame:
    """List the UAR of models or conditions with confidence intervals, as `plot_confidence_intervals` takes them."""
    columns = {"uar": "value", "uar_ci_low": "low", "uar_ci_high": "high"}
    return scores.reindex(columns=list(columns)).rename(columns=columns).assign(name=names, strong=strong)


def plot_confidence_intervals(
    table: pd.DataFrame, path: Path, *, chance: float, label: str, title: str, width: float = 4.5
) -> None:
    """Plot scores as dots with confidence intervals, and chance as a line.

    Parameters
    ----------
    table
        Columns name, value, low, high (NaN without an interval) and strong (filled dot; hollow otherwise).
    width
        Width of the axis in inches.
    """
    positions = np.arange(len(table))
    with open_figure(path, width=width, height=0.2 + 0.3 * len(table), title=title) as axes:
        axes.axvline(chance, color=GREY, linestyle="--", linewidth=1)
        # A percentile interval may exclude the score itself, so errorbar() cannot draw it.
        axes.hlines(positions, table.low, table.high, color=AFTER, linewidth=4, alpha=0.45)
        filled = np.where(table.strong, AFTER, "white")
        dots = {"c": filled, "edgecolors": AFTER, "linewidths": 1.6, "s": 46, "zorder": 3, "clip_on": False}
        axes.scatter(table.value, positions, **dots)  # not clipped at 0 and 1
        for position, value in zip(positions, table.value, strict=True):
            text = "" if np.isnan(value) else f"{value:.3f}"
            axes.text(1.045, position, text, transform=axes.get_yaxis_transform(), va="center", fontsize="small")
        axes.set_yticks(positions, list(table.name))
        axes.set(xlim=(0, 1), ylim=(len(table) - 0.4, -0.6), xlabel=label)
        axes.grid(axis="x", linewidth=0.4)
        axes.tick_params(axis="y", length=0)


def plot_roc(curves: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Plot ROC curves with their areas, and chance as the diagonal.

    Parameters
    ----------
    curves
        Name, such as ``angry``, to a table with columns fpr and tpr.
    """
    import seaborn as sns
    from sklearn.metrics import RocCurveDisplay, auc

    colours = sns.color_palette("colorblind", 10)
    visible = [colours[n] for n in (0, 1, 2, 3, 4, 5, 9, 7)]  # the others are too pale on white or, inverted, on black
    line = {"linewidth": 1.6, "alpha": 1}
    line_styles = [line | {"color": colour, "linestyle": style} for style in ("-", "--", ":") for colour in visible]
    with open_figure(path, width=3.7, height=3.7, title=title) as axes:
        axes.plot([0, 1], [0, 1], color="#777777", linestyle=":", linewidth=1, label="Chance")
        if curves:
            fpr, tpr = ([curve[rate].to_numpy() for curve in curves.values()] for rate in ("fpr", "tpr"))
            display = RocCurveDisplay(fpr=fpr, tpr=tpr, roc_auc=list(map(auc, fpr, tpr)), name=list(curves))
            display.plot(axes, curve_kwargs=[line_styles[n % len(line_styles)] for n in range(len(curves))])
        axes.set(xlabel="False positive rate", ylabel="True positive rate")
        axes.legend(loc="lower right", labelspacing=0.3)


def plot_reliability(tables: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Plot a reliability diagram: accuracy by mean confidence, and below it the number of predictions by confidence.

    Parameters
    ----------
    tables
        One or two legend labels, such as ``before temperature scaling``, each to a table of
        `ser.evaluation.calibration.reliability`.
    """
    from sklearn.calibration import CalibrationDisplay

    line_styles = [{"color": "#8f8f8f", "marker": "o"}, {"color": AFTER, "marker": "s"}]
    grid: dict[str, Any] = {"nrows": 2, "sharex": True, "height_ratios": [3, 1]}
    with open_figure(path, width=3.7, height=3.7, title=title, **grid) as (upper, lower):
        for (name, bins), style in zip(tables.items(), line_styles, strict=False):
            full = bins[bins.clips > 0]
            display = CalibrationDisplay(full.accuracy, full.confidence, None)
            display.plot(ax=upper, name=name, markersize=4, **style)
            lower.step([*bins.low, 1], [*bins.clips, bins.clips.iloc[-1]], where="post", color=style["color"])
        upper.set(xlabel="", ylabel="Accuracy", ylim=(-0.02, 1.02), xlim=(0, 1))
        upper.legend(loc="upper left")
        note = {"color": GREY, "fontsize": "small", "fontstyle": "italic"}
        upper.text(0.02, 0.6, "under-confident", **note)
        upper.text(0.98, 0.03, "over-confident", ha="right", **note)
        lower.set(xlabel="Mean confidence", ylabel="Predictions")
        lower.set_ylim(bottom=0)
        lower.locator_params(axis="y", nbins=3)


def label_colours(names: Sequence[str]) -> dict[str, str]:
    """Map each emotion to its colour; emotions of custom label sets share `OTHER_COLOURS`."""
    others = [name for name in names if name not in EMOTION_COLOURS]
    colours = EMOTION_COLOURS | dict(zip(others, cycle(OTHER_COLOURS)))
    return {name: colours[name] for name in names}


def plot_timeline(
    table: pd.DataFrame, outline: pd.Series, spoken: Sequence[tuple[float, float]], path: Path, *, title: str
) -> None:
    """Plot the waveform of a recording, and below it the probability of each emotion over time.

    Parameters
    ----------
    table
        Columns start and end (seconds), and the probability of each emotion; NaN without speech.
    outline
        Peak amplitude, indexed by time in seconds; scaled to the height of the panel.
    spoken
        Start and end of each speech segment in seconds.
    """
    names = [str(name) for name in table.columns.drop(["start", "end"])]
    grid: dict[str, Any] = {"nrows": 2, "sharex": True, "height_ratios": [3, len(names)]}
    with open_figure(
        path, width=8, height=1 + 0.34 * len(names), title=title, gridspec_kw={"hspace": 0.06}, **grid
    ) as (upper, lower):
        high = outline / max(outline.max(), 0.01)  # scale quiet recordings up, but not silence
        upper.fill_between(high.index, -high, high, color="#777777", linewidth=0)
        upper.hlines([-1.15] * len(spoken), *np.reshape(spoken, (-1, 2)).T, color=AFTER, linewidth=3)
        upper.set(ylim=(-1.3, 1.05), yticks=[-1.15, 0], yticklabels=["speech", "waveform"], xlim=(0, table.end.max()))
        edges = np.append(table.start, table.end.iloc[-1])
        for row, (name, colour) in enumerate(label_colours(names).items()):
            probability = table[name].fillna(0).to_numpy()
            top = row - 0.92 * np.append(probability, probability[-1])
            lower.fill_between(edges, row, top, step="post", color=colour, linewidth=0)
            lower.axhline(row, color="#cccccc", linewidth=0.5)
        lower.set_yticks(np.arange(len(names)) - 0.3, names)
        lower.set(ylim=(len(names) - 0.9, -1), xlabel="Time (s)")
        for panel in (upper, lower):
            panel.tick_params(axis="y", length=0)


def present_sexes(rows: pd.DataFrame) -> list[str]:
    """List the sexes that a table has, in the order of their colours."""
    return [sex for sex in SEX_COLOURS if sex in set(rows.sex)]


def plot_uar_by_speaker(table: pd.DataFrame, path: Path, *, overall: float, chance: float, title: str) -> None:
    """Plot the UAR of each speaker as a dot.

    Parameters
    ----------
    table
        Columns speaker, sex (``female``, ``male`` or ``unknown``) and uar, in the order of the dots: lowest UAR first.
    overall, chance
        UAR of all clips and of random guessing.
    """
    names = list(table.speaker) if len(table) <= FEW_SPEAKERS else []
    with open_figure(path, width=5.2, height=2, title=title, above=0.35) as axes:
        axes.axhline(chance, color=GREY, linestyle="--", linewidth=1, label="chance")
        axes.axhline(overall, color=GREY, linewidth=1, label="all speakers")
        for sex in present_sexes(table):
            group = (table.sex == sex).to_numpy()
            dots = {"color": SEX_COLOURS[sex], "s": 22, "zorder": 3, "label": sex, "clip_on": False}
            axes.scatter(np.flatnonzero(group), table.uar[group], **dots)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.tick_params(axis="x", labelsize="x-small", length=0)
        wide = max(len(table), FEW_SPEAKERS // 3)
        xlabel = "Speaker" if names else "Speakers, lowest UAR first"
        axes.set(xlim=(-0.6, wide - 0.4), ylim=(0, 1), ylabel="UAR", xlabel=xlabel)
        axes.legend(ncols=5, handlelength=1.4, **ABOVE)
