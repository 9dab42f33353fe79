"""Plot the results of a run: confusion, learning curves, confidence intervals, ROC, calibration, timelines."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DPI = 90
FINE_DPI = 120
"""Resolution of figures in HTML reports, for high-density screens."""
AFTER = "#4c78a8"
PALE = "#b7c9dc"
PAD = 0.08
"""Padding of a constrained layout, in inches."""
CHARACTERS_PER_INCH = {"medium": 12.5, "large": 10.5}
"""Of a title, by font size."""
SAME_LINE = 0.005
"""Largest difference between two curves that are drawn as one."""
CURVES = {
    "loss": "Training loss",
    "val_loss": "Validation loss",
    "accuracy": "Training accuracy",
    "val_uar": "Validation UAR",
    "val_accuracy": "Validation accuracy",
}
"""Columns of a training history, and their labels."""
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


def _wrapped(title: str, width: float, fontsize: str) -> str:
    """Break the lines of a title that are longer than a figure of `width` inches."""
    length = int(width * CHARACTERS_PER_INCH[fontsize])
    return "\n".join(textwrap.fill(line, length, break_on_hyphens=False) for line in title.splitlines())


@contextmanager
def open_figure(
    path: Path,
    *,
    width: float,
    height: float,
    dpi: int = DPI,
    cropped: bool = False,
    layout: Any = "constrained",
    **grid: Any,
) -> Iterator[Any]:
    """Open a figure and save it as PNG, without the date and versions that would change its bytes.

    Parameters
    ----------
    path
        Path of the PNG.
    width, height
        Size in inches.
    dpi
        Resolution in pixels per inch.
    cropped
        Whether to crop the margins to what is drawn.
    layout
        Layout engine of matplotlib, or None for fixed margins.
    grid
        Arguments of ``Figure.subplots``.

    Yields
    ------
    Axes or ndarray of Axes
        As ``Figure.subplots`` returns them.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rc: dict[Any, Any] = {f"figure.constrained_layout.{side}_pad": PAD for side in "wh"}
    with rc_context(rc | {"text.parse_math": False}):  # a $ in the name of a file starts no formula
        figure = Figure(figsize=(width, height), layout=layout, dpi=dpi)
        yield figure.subplots(**grid)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None}, bbox_inches="tight" if cropped else None)


def plot_confusion(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """Plot a confusion matrix: each row in percent of the emotion's clips, with the counts below.

    Parameters
    ----------
    counts
        Counts by emotion (rows) and predicted emotion (columns), of `ser.evaluation.metrics.confusion`.
    path
        Path of the PNG.
    title
        Title: model, split and test protocol.
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    fractions = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
    size = 2.2 + 0.75 * len(counts)
    with open_figure(path, width=size, height=size, cropped=True, layout=None) as axes:
        display = ConfusionMatrixDisplay(fractions, display_labels=list(counts.columns))
        display.plot(ax=axes, cmap="Blues", colorbar=False, im_kw={"vmin": 0, "vmax": 1})
        for text, fraction, count in zip(display.text_.flat, fractions.flat, counts.to_numpy().flat, strict=True):
            text.set(text=f"{fraction:.0%}\n{count}", color="white" if fraction > 0.6 else "black")
        axes.set(title=_wrapped(title, size, "large"), xlabel="Predicted emotion", ylabel="True emotion")
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
    path
        Path of the PNG.
    title
        Title: the test protocol.
    last
        Whether the weights are those of the last epoch, and not of the epoch with the highest validation UAR.

    Notes
    -----
    If every class has the same number of validation clips, accuracy equals UAR: one curve then stands for both.
    """
    import seaborn as sns

    models = table.groupby(["fold", "seed"])
    best = models.epoch.max() if last else table.epoch[models.val_uar.idxmax()]
    selected = f"Dotted: {'last' if last else 'best'} epoch ({best.iloc[0]})"
    note = selected if len(best) == 1 else f"Mean and range of {len(best)} models"
    table, scores = _without_twin(table.rename(columns=CURVES))
    curves = {"Loss": ["Training loss", "Validation loss"], "Accuracy or UAR": scores}
    dashes = {"Validation accuracy": (2, 2)}  # close to validation UAR, which stays visible below dashes
    with open_figure(path, width=9, height=4, ncols=2) as axes:
        for panel, (label, columns) in zip(axes, curves.items(), strict=True):
            long = table.melt("epoch", columns, var_name="curve", value_name="value")
            styles = {name: dashes.get(name, "") for name in columns}
            look = {"hue": "curve", "style": "curve", "dashes": styles, "linewidth": 2, "errorbar": ("pi", 100)}
            sns.lineplot(long, x="epoch", y="value", ax=panel, **look)
            panel.set(xlabel="Epoch", ylabel=label)
            panel.locator_params(axis="x", integer=True)
            panel.spines[["top", "right"]].set_visible(False)
            if len(best) == 1:
                panel.axvline(best.iloc[0], color="grey", linestyle=":", linewidth=1)
            panel.legend(
                title=None, edgecolor="none", framealpha=0.7, loc="upper right" if label == "Loss" else "lower right"
            )
        axes[0].set_title(note, loc="left", fontsize="medium")
        axes[0].figure.suptitle(_wrapped(title, 9, "large"))


def _without_twin(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Replace the curves of validation UAR and accuracy by one if the width of a line would hide their difference."""
    uar, accuracy = CURVES["val_uar"], CURVES["val_accuracy"]
    if (table[uar] - table[accuracy]).abs().max() > SAME_LINE:
        return table, [CURVES["accuracy"], uar, accuracy]
    both = "Validation UAR and accuracy"
    return table.rename(columns={uar: both}), [CURVES["accuracy"], both]


def plot_leaderboard(table: pd.DataFrame, path: Path, *, chance: float, title: str, limits: str = "") -> None:
    """Plot the test UAR of each model as a bar with its confidence interval, and chance as a line.

    Parameters
    ----------
    table
        Leaderboard, of `ser.evaluation.summary.leaderboard`. Bars of models significantly worse than the best are
        pale; a model without a confidence interval has only a bar.
    path
        Path of the PNG.
    chance
        UAR of random guessing.
    title
        Title: the test protocol.
    limits
        Legend of the intervals, of `ser.reporting.leaderboard.interval_legend`.
    """
    equal = table.get("not_significantly_worse", pd.Series(True, index=table.index)).astype(bool)
    intervals = table.reindex(columns=["uar_ci_low", "uar_ci_high"])
    places = np.arange(len(table))
    about = "UAR on test clips (dashed: chance)"
    title = _wrapped(title, 7, "large")
    height = 0.8 + 0.5 * len(table) + 0.2 * bool(limits) + 0.2 * len(title.splitlines())
    with open_figure(path, width=7, height=height) as axes:
        axes.barh(places, table.uar, height=0.8, color=np.where(equal, AFTER, PALE))
        axes.axvline(chance, color="white", linewidth=3, zorder=3)
        axes.axvline(chance, color="black", linestyle="--", linewidth=1.5, zorder=4)
        # A percentile interval may exclude the score itself, so errorbar() cannot draw it.
        for colour, width, caps in (("white", 4, 11), ("black", 1.5, 9)):  # a white outline stays visible on any bar
            line = {"color": colour, "zorder": 5, "clip_on": False}
            axes.hlines(places, intervals.uar_ci_low, intervals.uar_ci_high, linewidth=width, **line)
            for ends in (intervals.uar_ci_low, intervals.uar_ci_high):
                axes.plot(ends, places, linestyle="", marker="|", markersize=caps, markeredgewidth=width, **line)
        for place, value in zip(places, table.uar, strict=True):
            axes.text(1.02, place, f"{value:.3f}", transform=axes.get_yaxis_transform(), va="center")
        axes.set_yticks(places, list(table.model))
        axes.set(title=title, xlabel=f"{about}\n{limits}" if limits else about, xlim=(0, 1))
        axes.set_ylim(len(table) - 0.5, -0.5)


def plot_confidence_intervals(
    table: pd.DataFrame, path: Path, *, chance: float, label: str, title: str, width: float = 6
) -> None:
    """Plot scores as dots with confidence intervals, and chance as a line.

    Parameters
    ----------
    table
        Columns name, value, low, high (NaN without an interval) and strong (filled dot; hollow otherwise).
    path
        Path of the PNG.
    chance
        Position of the line.
    label
        Label of the axis.
    title
        Title of the figure.
    width
        Width in inches.
    """
    places = np.arange(len(table))
    room = {"height": 1.25 + 1.8 / width * len(table), "left": _label_width(table.name), "right": 0.65}
    with _fixed_margins(path, width=width, title=title, **room) as axes:
        axes.axvline(chance, color="#555555", linestyle="--", linewidth=1)
        axes.hlines(places, table.low, table.high, color=AFTER, linewidth=4, alpha=0.45)
        filled = np.where(table.strong, AFTER, "white")
        dots = {"c": filled, "edgecolors": AFTER, "linewidths": 1.6, "s": 46, "zorder": 3, "clip_on": False}
        axes.scatter(table.value, places, **dots)  # not clipped at 0 and 1
        for place, value in zip(places, table.value, strict=True):
            text = "" if np.isnan(value) else f"{value:.3f}"
            axes.text(1.045, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize="small")
        axes.set_yticks(places, list(table.name))
        axes.set(xlim=(0, 1), ylim=(len(table) - 0.4, -0.6), xlabel=label)
        axes.grid(axis="x", linewidth=0.4)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)


@contextmanager
def _fixed_margins(
    path: Path,
    *,
    width: float,
    height: float,
    left: float,
    title: str,
    right: float = 0.25,
    below: float = 0.5,
    above: float = 0.0,
    **grid: Any,
) -> Iterator[Any]:
    """Open a figure with fixed margins in inches: computing the layout takes longer than drawing.

    `height` is that with one line of `title`; `above` inches below the title are free.
    """
    title = _wrapped(title, width, "medium")
    lines = title.count("\n") + 1
    top = 0.15 + 0.19 * lines + above
    height += 0.19 * (lines - 1)
    margins = {"left": left / width, "right": 1 - right / width, "top": 1 - top / height, "bottom": below / height}
    with open_figure(path, width=width, height=height, dpi=FINE_DPI, layout=None, gridspec_kw=margins, **grid) as axes:
        yield axes
        panels = np.ravel(axes)
        for panel in panels:
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].figure.suptitle(title, x=0.01, y=1 - 0.08 / height, ha="left", va="top", fontsize="medium")


def _label_width(names: Sequence[str]) -> float:
    """Estimate the width of the longest name in inches."""
    return 0.35 + 0.085 * max(map(len, names))


def plot_roc(curves: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Plot ROC curves with their areas, and chance as the diagonal.

    Parameters
    ----------
    curves
        Name, such as ``angry``, to a table with columns fpr and tpr.
    path
        Path of the PNG.
    title
        Title: model and test protocol.
    """
    import seaborn as sns
    from sklearn.metrics import RocCurveDisplay, auc

    colours = sns.color_palette("colorblind", 10)
    visible = [colours[n] for n in (0, 1, 2, 3, 4, 5, 9, 7)]  # the others are too pale on white or, inverted, on black
    line = {"linewidth": 1.6, "alpha": 1}
    looks = [line | {"color": colour, "linestyle": style} for style in ("-", "--", ":") for colour in visible]
    with _fixed_margins(path, width=4.6, height=4.6, left=0.6, title=title) as axes:
        axes.plot([0, 1], [0, 1], color="#777777", linestyle=":", linewidth=1, label="Chance")
        if curves:
            fpr, tpr = ([curve[rate].to_numpy() for curve in curves.values()] for rate in ("fpr", "tpr"))
            display = RocCurveDisplay(fpr=fpr, tpr=tpr, roc_auc=list(map(auc, fpr, tpr)), name=list(curves))
            display.plot(axes, curve_kwargs=[looks[n % len(looks)] for n in range(len(curves))])
        axes.set(xlabel="False positive rate", ylabel="True positive rate")
        axes.legend(frameon=False, fontsize="small", loc="lower right", labelspacing=0.3)


def plot_reliability(tables: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Plot a reliability diagram: accuracy by mean confidence, and below it the number of predictions by confidence.

    Parameters
    ----------
    tables
        One or two legend labels, such as ``before temperature scaling``, each to a table of
        `ser.evaluation.calibration.reliability`.
    path
        Path of the PNG.
    title
        Title: model and test protocol.
    """
    from sklearn.calibration import CalibrationDisplay

    looks = [{"color": "#8f8f8f", "marker": "o"}, {"color": AFTER, "marker": "s"}]
    grid: dict[str, Any] = {"nrows": 2, "sharex": True, "height_ratios": [3, 1]}
    with _fixed_margins(path, width=4.6, height=4.6, left=0.8, title=title, **grid) as (upper, lower):
        for (name, bins), look in zip(tables.items(), looks, strict=False):
            full = bins[bins.clips > 0]
            display = CalibrationDisplay(full.accuracy, full.confidence, None)
            display.plot(ax=upper, name=name, markersize=4, **look)
            lower.step([*bins.low, 1], [*bins.clips, bins.clips.iloc[-1]], where="post", color=look["color"])
        upper.set(xlabel="", ylabel="Accuracy", ylim=(-0.02, 1.02), xlim=(0, 1))
        upper.legend(frameon=False, fontsize="small", loc="upper left")
        words = {"color": "#555555", "fontsize": "small", "fontstyle": "italic"}
        upper.text(0.02, 0.6, "under-confident", **words)
        upper.text(0.98, 0.03, "over-confident", ha="right", **words)
        lower.set(xlabel="Mean confidence", ylabel="Predictions")
        lower.set_ylim(bottom=0)
        lower.locator_params(axis="y", nbins=3)


def label_colours(names: Sequence[str]) -> dict[str, str]:
    """Map each emotion to its colour; emotions of custom label sets share `OTHER_COLOURS`."""
    others = [name for name in names if name not in EMOTION_COLOURS]
    turns = {name: OTHER_COLOURS[n % len(OTHER_COLOURS)] for n, name in enumerate(others)}
    return {name: EMOTION_COLOURS.get(name) or turns[name] for name in names}


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
    path
        Path of the PNG.
    title
        Title of the figure.
    """
    names = [str(name) for name in table.columns.drop(["start", "end"])]
    grid: dict[str, Any] = {"nrows": 2, "sharex": True, "height_ratios": [3, len(names)]}
    height = 1.9 + 0.34 * len(names)
    left = _label_width([*names, "waveform"])
    with _fixed_margins(path, width=9, height=height, left=left, title=title, **grid) as (upper, lower):
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
        lower.figure.subplots_adjust(hspace=0.06)
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
    path
        Path of the PNG.
    overall, chance
        UAR of all clips and of random guessing, drawn as lines.
    title
        Title of the figure.
    """
    named = len(table) <= FEW_SPEAKERS
    below = 0.2 + 0.065 * max(map(len, table.speaker)) if named else 0.35
    room = {"left": 0.6, "below": below, "above": 0.25}
    with _fixed_margins(path, width=6, height=2.6 + below, title=title, **room) as axes:
        axes.axhline(chance, color="#555555", linestyle="--", linewidth=1, label="chance")
        axes.axhline(overall, color="#555555", linewidth=1, label="all speakers")
        for sex in present_sexes(table):
            group = (table.sex == sex).to_numpy()
            dots = {"color": SEX_COLOURS[sex], "s": 22, "zorder": 3, "label": sex, "clip_on": False}
            axes.scatter(np.flatnonzero(group), table.uar[group], **dots)
        axes.set_xticks(range(len(table)) if named else [], list(table.speaker) if named else [], rotation=90)
        axes.tick_params(axis="x", labelsize="x-small", length=0)
        wide = max(len(table), FEW_SPEAKERS // 3)
        xlabel = "" if named else "Speakers, lowest UAR first"
        axes.set(xlim=(-0.6, wide - 0.4), ylim=(0, 1), ylabel="UAR", xlabel=xlabel)
        at = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.1, "ncols": 5}
        axes.legend(frameon=False, fontsize="small", columnspacing=1, handlelength=1.4, **at)
