"""Plot the results of a run: confusion, learning curves, confidence intervals, ROC, calibration, timelines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DPI = 90
FINE_DPI = 120
"""Of pictures within pages, which telephones show at more than one point a pixel."""
AFTER = "#4c78a8"
PALE = "#b7c9dc"
SAME_LINE = 0.005
"""Shares that differ by less are one line in a picture of some inches."""
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
"""Of ribbons and bars, which have names too; on white and on black each has a contrast of 3 or more."""
OTHER_COLOURS = ("#a0522d", "#c2559d", "#5566cc", "#008b9e")
"""Of emotions beyond these."""
FEW_SPEAKERS = 30
"""As many can be named below their bars."""


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
    """Open a figure of some inches and save it as PNG, without the times and versions that would change its bytes.

    `grid` goes to ``Figure.subplots``; `cropped` cuts the margins down to what is drawn.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"text.parse_math": False}):  # a $ in a file's name starts no formula
        figure = Figure(figsize=(width, height), layout=layout, dpi=dpi)
        FigureCanvasAgg(figure)
        yield figure.subplots(**grid)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None}, bbox_inches="tight" if cropped else None)


def plot_confusion(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draw a confusion matrix: each row in per cent of the emotion's clips, with the counts below.

    Parameters
    ----------
    counts
        As `ser.evaluation.metrics.confusion` makes it.
    path
        Of the PNG.
    title
        Says model, split and what was held out.
    """
    import seaborn as sns

    shares = 100 * counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    text = shares.round(0).astype(int).astype(str) + "%\n" + counts.astype(str)
    size = 2.2 + 0.75 * len(counts)
    with open_figure(path, width=size + 0.6, height=size, cropped=True) as axes:
        sns.heatmap(shares, annot=text, fmt="", cmap="Blues", vmin=0, vmax=100, square=True, ax=axes, cbar=False)
        axes.set(title=title, xlabel="predicted", ylabel="true emotion")
        axes.tick_params(axis="x", rotation=40)
        axes.tick_params(axis="y", rotation=0)


def plot_history(table: pd.DataFrame, path: Path, *, title: str, last: bool = False) -> None:
    """Draw loss, UAR and accuracy by epoch: of one model with the kept epoch, of several their mean and range.

    Where validation clips are balanced over emotions, their accuracy is their UAR: one curve then stands for both.

    Parameters
    ----------
    table
        Histories as `ser.models.trainer.fit` returns them, with columns fold and seed.
    path
        Of the PNG.
    title
        Says what was held out.
    last
        Whether the weights of the last epoch were kept, and not those of the best on validation.
    """
    import seaborn as sns

    models = table.groupby(["fold", "seed"])
    best = models.epoch.max() if last else table.epoch[models.val_uar.idxmax()]
    one = f"weights kept: epoch {best.iloc[0]}{', the last' if last else ''}"
    kept = one if len(best) == 1 else f"mean and range of {len(best)} models"
    table, shares = _without_twin(table)
    curves = {"loss": ["loss", "val_loss"], "accuracy or UAR": shares}
    dashes = {"val_accuracy": (2, 2)}  # it runs near val_uar, and lets it be seen where it lies on it
    with open_figure(path, width=9, height=4, ncols=2) as axes:
        for panel, (label, columns) in zip(axes, curves.items(), strict=True):
            long = table.melt("epoch", columns, var_name="curve", value_name="value")
            styles = {name: dashes.get(name, "") for name in columns}
            sns.lineplot(
                long,
                x="epoch",
                y="value",
                hue="curve",
                style="curve",
                dashes=styles,
                linewidth=2,
                errorbar=("pi", 100),
                ax=panel,
            )
            panel.set_ylabel(label)
            if len(best) == 1:
                panel.axvline(best.iloc[0], color="grey", linestyle=":", linewidth=1)
            panel.legend(title=None, frameon=False)
        axes[0].set_title(kept, loc="left", fontsize="medium")
        axes[0].figure.suptitle(title)


def _without_twin(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Put one curve in place of validation's UAR and accuracy where a line's width would hide one behind the other."""
    if (table.val_uar - table.val_accuracy).abs().max() > SAME_LINE:
        return table, ["accuracy", "val_uar", "val_accuracy"]
    both = "val_uar (val_accuracy is the same)"
    return table.rename(columns={"val_uar": both}), ["accuracy", both]


def plot_leaderboard(table: pd.DataFrame, path: Path, *, chance: float, title: str, limits: str = "") -> None:
    """Draw each model's test UAR as a bar with its limits over speakers, and chance as a line.

    Parameters
    ----------
    table
        As `ser.evaluation.summary.leaderboard` makes it. Models that are shown to be worse than the best are
        pale; where a model has no limits, none are drawn.
    path
        Of the PNG.
    chance
        The UAR of guessing.
    title
        Says what was tested on what.
    limits
        Says what the limits are, and what they tell.
    """
    tied = table.get("tied_with_best", pd.Series(True, index=table.index)).astype(bool)
    found = table.reindex(columns=["uar_low", "uar_high"])
    places = np.arange(len(table))
    about = "UAR on test clips (dashed: chance)"
    with open_figure(path, width=7, height=1 + 0.5 * len(table) + 0.2 * bool(limits)) as axes:
        axes.barh(places, table.uar, height=0.8, color=np.where(tied, AFTER, PALE))
        axes.axvline(chance, color="white", linewidth=3, zorder=3)
        axes.axvline(chance, color="black", linestyle="--", linewidth=1.5, zorder=4)
        # Percentiles of draws may leave out the score itself, so that limits are lines of their own, not errors of it.
        for colour, width, caps in (("white", 4, 11), ("black", 1.5, 9)):  # white around black is seen on any bar
            line = {"color": colour, "zorder": 5, "clip_on": False}
            axes.hlines(places, found.uar_low, found.uar_high, linewidth=width, **line)
            for ends in (found.uar_low, found.uar_high):
                axes.plot(ends, places, linestyle="", marker="|", markersize=caps, markeredgewidth=width, **line)
        for place, value in zip(places, table.uar, strict=True):
            axes.text(1.02, place, f"{value:.3f}", transform=axes.get_yaxis_transform(), va="center")
        axes.set_yticks(places, list(table.model))
        axes.set(title=title, xlabel=f"{about}\n{limits}" if limits else about, xlim=(0, 1))
        axes.set_ylim(len(table) - 0.5, -0.5)


def plot_confidence_intervals(
    table: pd.DataFrame, path: Path, *, chance: float, label: str, title: str, width: float = 6
) -> None:
    """Draw shares as dots with their intervals, below each other, and chance as a line.

    Parameters
    ----------
    table
        Columns name, value, low, high (NaN where there is no interval) and strong: a filled dot, others are hollow.
    path
        Of the PNG.
    chance
        Where the line stands.
    label
        Of the axis.
    title
        Stands above.
    width
        In inches; rows are lower in a wider picture.
    """
    places = np.arange(len(table))
    with _fixed_margins(
        path, width=width, height=1.25 + 1.8 / width * len(table), left=_label_width(table.name), title=title
    ) as axes:
        axes.axvline(chance, color="#555555", linestyle="--", linewidth=1)
        axes.hlines(places, table.low, table.high, color=AFTER, linewidth=4, alpha=0.45)
        filled = np.where(table.strong, AFTER, "white")
        dots = {"c": filled, "edgecolors": AFTER, "linewidths": 1.6, "s": 46, "zorder": 3, "clip_on": False}
        axes.scatter(table.value, places, **dots)  # whole ones also at 0 and 1
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
    below: float = 0.5,
    above: float = 0.0,
    **grid: Any,
) -> Iterator[Any]:
    """Open a figure with margins in inches: finding them would take longer than drawing, and there are many of these.

    `title` takes room for each of its lines; `above` is kept free between it and the panel.
    """
    top = 0.15 + 0.19 * (title.count("\n") + 1) + above
    margins = {"left": left / width, "right": 1 - 0.55 / width, "top": 1 - top / height, "bottom": below / height}
    with open_figure(path, width=width, height=height, dpi=FINE_DPI, layout=None, gridspec_kw=margins, **grid) as axes:
        yield axes
        panels = np.ravel(axes)
        for panel in panels:
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].figure.suptitle(title, x=0.01, y=1 - 0.08 / height, ha="left", va="top", fontsize="medium")


def _label_width(names: Sequence[str]) -> float:
    """Say how many inches the longest name takes beside an axis."""
    return 0.35 + 0.085 * max(map(len, names))


def plot_roc(curves: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Draw curves of hits against false alarms, each in a look of its own, with chance as the diagonal.

    Parameters
    ----------
    curves
        What the legend says, such as ``angry 0.93`` -> columns fpr and tpr.
    path
        Of the PNG.
    title
        Stands above.
    """
    import seaborn as sns

    colours = sns.color_palette("colorblind", 10)
    seen = [colours[n] for n in (0, 1, 2, 3, 4, 5, 9, 7)]  # the others are too pale on white or, inverted, on black
    looks = [(colour, style) for style in ("-", "--", ":") for colour in seen]
    with _fixed_margins(path, width=4.6, height=4.6, left=0.6, title=title) as axes:
        axes.plot([0, 1], [0, 1], color="#777777", linestyle=":", linewidth=1)
        for n, (name, curve) in enumerate(curves.items()):
            colour, style = looks[n % len(looks)]
            axes.plot(curve.fpr, curve.tpr, color=colour, linestyle=style, linewidth=1.6, label=name)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="share of others taken for it", ylabel="share found")
        axes.legend(frameon=False, fontsize="small", loc="lower right", title="area under the curve")


def plot_reliability(found: Mapping[str, pd.DataFrame], path: Path, *, title: str) -> None:
    """Draw how often a model is right against how sure it is, and below, how many answers are as sure.

    Parameters
    ----------
    found
        ``before`` and maybe ``after``, of temperature scaling -> as `ser.evaluation.calibration.reliability` makes it.
    path
        Of the PNG.
    title
        Stands above.
    """
    looks = {"before": ("#8f8f8f", "o"), "after": (AFTER, "s")}
    grid: dict[str, Any] = {"nrows": 2, "sharex": True, "height_ratios": [3, 1]}
    with _fixed_margins(path, width=4.6, height=4.6, left=0.8, title=title, **grid) as (upper, lower):
        upper.plot([0, 1], [0, 1], color="#777777", linestyle=":", linewidth=1, label="as sure as right")
        for name, bins in found.items():
            colour, marker = looks[name]
            full = bins[bins.clips > 0]
            upper.plot(
                full.confidence, full.accuracy, color=colour, marker=marker, markersize=4, label=f"{name} temperature"
            )
            lower.step([*bins.low, 1], [*bins.clips, bins.clips.iloc[-1]], where="post", color=colour)
        upper.set(ylabel="share right", ylim=(-0.02, 1.02), xlim=(0, 1))
        upper.legend(frameon=False, fontsize="small", loc="upper left")
        lower.set(xlabel="probability of the answer", ylabel="answers")
        lower.set_ylim(bottom=0)
        lower.locator_params(axis="y", nbins=3)


def label_colours(names: Sequence[str]) -> dict[str, str]:
    """Give each emotion its colour; those beyond the canonical ones take turns."""
    others = [name for name in names if name not in EMOTION_COLOURS]
    turns = {name: OTHER_COLOURS[n % len(OTHER_COLOURS)] for n, name in enumerate(others)}
    return {name: EMOTION_COLOURS.get(name) or turns[name] for name in names}


def plot_timeline(
    table: pd.DataFrame, outline: pd.Series, spoken: Sequence[tuple[float, float]], path: Path, *, title: str
) -> None:
    """Draw a recording's sound, and below it how likely each emotion is from second to second.

    Parameters
    ----------
    table
        Columns start and end (seconds), and one an emotion with its probability; empty where nobody speaks.
    outline
        The largest sample around each second of its index; it is drawn as high as there is room.
    spoken
        Where somebody speaks, in seconds.
    path
        Of the PNG.
    title
        Stands above.
    """
    names = [str(name) for name in table.columns.drop(["start", "end"])]
    grid: dict[str, Any] = {"nrows": 2, "sharex": True, "height_ratios": [3, len(names)]}
    height = 1.9 + 0.34 * len(names)
    with _fixed_margins(path, width=9, height=height, left=_label_width(names), title=title, **grid) as (upper, lower):
        high = outline / max(outline.max(), 0.01)  # quiet recordings are to be seen too, but not silence
        upper.fill_between(high.index, -high, high, color="#777777", linewidth=0)
        upper.hlines([-1.15] * len(spoken), *np.reshape(spoken, (-1, 2)).T, color=AFTER, linewidth=3)
        upper.set(ylim=(-1.3, 1.05), yticks=[-1.15, 0], yticklabels=["speech", "sound"], xlim=(0, table.end.max()))
        edges = np.append(table.start, table.end.iloc[-1])
        for row, (name, colour) in enumerate(label_colours(names).items()):
            share = table[name].fillna(0).to_numpy()
            top = row - 0.92 * np.append(share, share[-1])
            lower.fill_between(edges, row, top, step="post", color=colour, linewidth=0)
            lower.axhline(row, color="#cccccc", linewidth=0.5)
        lower.figure.subplots_adjust(hspace=0.06)
        lower.set_yticks(np.arange(len(names)) - 0.3, names)
        lower.set(ylim=(len(names) - 0.9, -1), xlabel="seconds")
        for panel in (upper, lower):
            panel.tick_params(axis="y", length=0)


def present_sexes(rows: pd.DataFrame) -> list[str]:
    """List the sexes that a table has, in the order of their colours."""
    return [sex for sex in SEX_COLOURS if sex in set(rows.sex)]


def plot_uar_by_speaker(table: pd.DataFrame, path: Path, *, overall: float, chance: float, title: str) -> None:
    """Draw each speaker's UAR as a dot, the lowest first.

    Parameters
    ----------
    table
        Columns speaker, sex (``female``, ``male`` or ``unknown``) and uar, in the order of the dots.
    path
        Of the PNG.
    overall, chance
        Lines: UAR of all clips, and what guessing gives.
    title
        Stands above.
    """
    named = len(table) <= FEW_SPEAKERS
    below = 0.2 + 0.065 * max(map(len, table.speaker)) if named else 0.35
    room = {"left": 0.6, "below": below, "above": 0.25}
    with _fixed_margins(path, width=6, height=2.6 + below, title=title, **room) as axes:
        axes.axhline(chance, color="#555555", linestyle="--", linewidth=1, label="chance")
        axes.axhline(overall, color="#555555", linewidth=1, label="all speakers")
        for sex in present_sexes(table):
            own = (table.sex == sex).to_numpy()
            axes.scatter(
                np.flatnonzero(own), table.uar[own], color=SEX_COLOURS[sex], s=22, zorder=3, label=sex, clip_on=False
            )
        axes.set_xticks(range(len(table)) if named else [], list(table.speaker) if named else [], rotation=90)
        axes.tick_params(axis="x", labelsize="x-small", length=0)
        wide = max(len(table), FEW_SPEAKERS // 3)
        axes.set(xlim=(-0.6, wide - 0.4), ylim=(0, 1), ylabel="UAR", xlabel="" if named else "speakers, worst first")
        at = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.1, "ncols": 5}
        axes.legend(frameon=False, fontsize="small", columnspacing=1, handlelength=1.4, **at)
