"""Figures from tables. The only door to matplotlib and seaborn."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

DPI = 90


@contextmanager
def _figure(path: Path, *, width: float, height: float, columns: int = 1) -> Iterator[Any]:
    """Open a figure of some inches and save it as PNG, without the times and versions that would change its bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    yield figure.subplots(1, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def confusion(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draw a confusion matrix: each row in per cent of the emotion's clips, with the counts below.

    Parameters
    ----------
    counts
        As `ser.metrics.confusion` makes it.
    path
        Of the PNG.
    title
        Says model, part and what was held out.
    """
    import seaborn as sns

    shares = 100 * counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    text = shares.round(0).astype(int).astype(str) + "%\n" + counts.astype(str)
    size = 2.2 + 0.75 * len(counts)
    with _figure(path, width=size + 0.6, height=size) as axes:
        sns.heatmap(shares, annot=text, fmt="", cmap="Blues", vmin=0, vmax=100, square=True, ax=axes, cbar=False)
        axes.set(title=title, xlabel="predicted", ylabel="true emotion")
        axes.tick_params(axis="x", rotation=40)
        axes.tick_params(axis="y", rotation=0)


def history(table: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draw loss, UAR and accuracy by epoch, from the history that `ser.lstm.fit` returns; the kept epoch is marked."""
    import seaborn as sns

    best = table.epoch[table.val_uar.idxmax()]
    curves = {"loss": ["loss", "val_loss"], "share of clips": ["accuracy", "val_accuracy", "val_uar"]}
    with _figure(path, width=9, height=4, columns=2) as axes:
        for panel, (label, columns) in zip(axes, curves.items(), strict=True):
            long = table.melt("epoch", columns, var_name="curve", value_name="value")
            sns.lineplot(long, x="epoch", y="value", hue="curve", ax=panel)
            panel.set_ylabel(label)
            panel.axvline(best, color="grey", linestyle=":", linewidth=1)
            panel.legend(title=None, frameon=False)
        axes[0].set_title(f"weights kept: epoch {best}", loc="left", fontsize="medium")
        axes[0].figure.suptitle(title)


def leaderboard(table: pd.DataFrame, path: Path, *, chance: float, title: str) -> None:
    """Draw each model's test UAR as a bar, with chance as a line."""
    import seaborn as sns

    with _figure(path, width=7, height=1 + 0.5 * len(table)) as axes:
        sns.barplot(table, x="uar", y="model", color="#4c78a8", ax=axes)
        axes.bar_label(axes.containers[0], fmt="%.3f", padding=3)
        axes.axvline(chance, color="grey", linestyle=":", linewidth=1)
        axes.set(title=title, xlabel="UAR on test clips (dotted: chance)", ylabel="", xlim=(0, 1))
