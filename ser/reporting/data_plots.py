"""Plot the data: clips by emotion and speaker, preprocessing before and after, waveforms and spectrograms."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.reporting.plots import AFTER, FEW_SPEAKERS, FINE_DPI, SEX_COLOURS, open_figure, present_sexes

BEFORE = "#b8b8b8"
QUIETEST_DB, LOUDEST_DB = -80, -15
"""Of a band in a log-mel picture: white and darkest."""


def plot_emotions(counts: pd.DataFrame, path: Path, *, order: Sequence[str], title: str) -> None:
    """Draw how many clips each corpus has of each emotion, by the speakers' sex: a panel a corpus, below each other.

    Parameters
    ----------
    counts
        Columns corpus, emotion, sex (``female``, ``male`` or ``unknown``) and clips.
    path
        Of the PNG.
    order
        Of the emotions, which stand in the same place in every panel.
    title
        Stands above all of them.
    """
    import seaborn as sns

    with _panels(counts, path, title=title, height=1.25) as panels:
        for panel, rows in panels:
            look = {"palette": SEX_COLOURS, "hue_order": present_sexes(rows), "order": order, "errorbar": None}
            sns.barplot(rows, x="emotion", y="clips", hue="sex", ax=panel, **look)
            panel.tick_params(axis="x", labelbottom=panel is panels[-1][0], rotation=30 if len(order) > 6 else 0)


@contextmanager
def _panels(table: pd.DataFrame, path: Path, *, title: str, height: float) -> Iterator[list[tuple[Any, pd.DataFrame]]]:
    """Open a panel of some inches for each corpus of a table, below each other, each with its name and a legend."""
    corpora = sorted(table.corpus.unique())
    tall = 0.9 + height * len(corpora)
    with open_figure(path, width=6, height=tall, dpi=FINE_DPI, nrows=len(corpora), squeeze=False) as axes:
        panels = list(axes[:, 0])
        yield [(panel, table[table.corpus == name]) for panel, name in zip(panels, corpora, strict=True)]
        for panel, name in zip(panels, corpora, strict=True):
            panel.set_title(name, loc="left", fontsize="medium", fontweight="bold")
            panel.set_xlabel("")
            panel.spines[["top", "right"]].set_visible(False)
            if panel.get_legend():
                at = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98), "borderaxespad": 0, "ncols": 3}
                panel.legend(title=None, frameon=False, fontsize="small", **at)
        panels[0].figure.suptitle(title, x=0.01, ha="left", fontsize="large")


def plot_before_after(table: pd.DataFrame, path: Path, *, label: str, title: str) -> None:
    """Draw how a measure of the recordings spreads in each corpus, before and after preprocessing.

    Parameters
    ----------
    table
        A row a recording, with the columns corpus, before and after, in the unit that `label` names. Boxes hold the
        middle half, with the median as a line; whiskers reach the smallest and largest.
    path
        Of the PNG.
    label
        Of the axis.
    title
        Stands above.
    """
    import seaborn as sns

    long = table.melt("corpus", ["before", "after"], var_name="stage", value_name="value")
    order = sorted(table.corpus.unique())
    look = {"palette": {"before": BEFORE, "after": AFTER}, "hue_order": ["before", "after"], "order": order}
    lines = {"whis": (0, 100), "gap": 0.15, "linewidth": 1.1, "linecolor": "#222222"}
    with open_figure(path, width=6, height=1.3 + 0.75 * len(order), dpi=FINE_DPI) as axes:
        sns.boxplot(long, x="value", y="corpus", hue="stage", ax=axes, **look, **lines)
        axes.set(xlabel=label, ylabel="")
        axes.grid(axis="x", linewidth=0.4)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        at = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2, "ncols": 2}
        axes.legend(title=None, frameon=False, fontsize="small", **at)
        axes.set_title(title, loc="left", fontsize="large")


def plot_speakers(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draw how many clips each speaker has: a panel a corpus, a bar a speaker, most clips first.

    Parameters
    ----------
    counts
        Columns corpus, speaker, sex (``female``, ``male`` or ``unknown``) and clips, in the order of the bars.
    path
        Of the PNG.
    title
        Stands above.
    """
    import seaborn as sns

    with _panels(counts, path, title=title, height=1.2) as panels:
        for panel, rows in panels:
            look = {"palette": SEX_COLOURS, "hue_order": present_sexes(rows), "dodge": False, "width": 0.8}
            sns.barplot(rows, x="speaker", y="clips", hue="sex", ax=panel, errorbar=None, **look)
            if len(rows) > FEW_SPEAKERS:
                panel.set_xticks([])
            panel.set_xlim(-0.6, max(len(rows), FEW_SPEAKERS // 3) - 0.4)  # or one bar would fill the panel
            panel.tick_params(axis="x", labelsize="x-small", length=0)
            panel.margins(y=0.1)


@dataclass(frozen=True)
class WaveformPanel:
    """A signal as it is drawn: (n_samples,) at a rate in Hz, and its log-mel spectrogram, (bands, frames) in dB."""

    label: str
    signal: npt.NDArray[np.float32]
    rate: int
    log_mel: npt.NDArray[np.float32]
    seconds_a_frame: float


def plot_example(heard: Sequence[WaveformPanel], path: Path, *, bands: Mapping[str, float], title: str) -> None:
    """Draw signals below each other: waveform and log-mel picture, all on the same scales of time, level and pitch.

    Parameters
    ----------
    heard
        What is drawn, such as a recording before and after preprocessing.
    path
        Of the PNG.
    bands
        Where on the axis of bands what is written, such as ``{"1 kHz": 21.5}``.
    title
        Stands above.
    """
    seconds = max(len(one.signal) / one.rate for one in heard)
    full = max(float(np.abs(one.signal).max()) for one in heard)
    grid: dict[str, Any] = {"ncols": len(heard), "nrows": 2, "squeeze": False, "sharex": True, "sharey": "row"}
    # Laid out by hand: there may be many of these, and finding the margins takes longer than drawing.
    margins = {"left": 0.14, "right": 0.87, "top": 0.86, "bottom": 0.14, "hspace": 0.12, "wspace": 0.06}
    with open_figure(path, width=6, height=3.4, dpi=FINE_DPI, layout=None, gridspec_kw=margins, **grid) as axes:
        for one, (wave, picture) in zip(heard, axes.T, strict=True):
            wave.set_title(one.label, loc="left", fontsize="medium")
            wave.locator_params(axis="x", nbins=4, prune="upper")
            _draw_wave(wave, one)
            mesh = _draw_log_mel(picture, one)
            wave.set(xlim=(0, seconds), ylim=(-1.05 * full, 1.05 * full))
        axes[0, 0].set_ylabel("amplitude")
        axes[1, 0].set_ylabel("frequency")
        axes[1, 0].set_yticks(list(bands.values()), list(bands))
        figure = axes[0, 0].figure
        figure.align_ylabels(axes[:, 0])
        figure.colorbar(mesh, cax=figure.add_axes((0.885, 0.14, 0.015, 0.32)), label="dB")
        figure.suptitle(title, x=0.01, ha="left", fontsize="small")


def _draw_wave(panel: Any, one: WaveformPanel) -> None:
    """Draw the smallest and largest sample of each of some hundred stretches: more than that no pixel shows."""
    step = max(1, len(one.signal) // 600)
    stretches = one.signal[: len(one.signal) // step * step].reshape(-1, step)
    times = np.arange(len(stretches)) * step / one.rate
    panel.fill_between(times, stretches.min(axis=1), stretches.max(axis=1), color=AFTER, linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _draw_log_mel(panel: Any, one: WaveformPanel) -> Any:
    n_bands, frames = one.log_mel.shape
    extent = (0, frames * one.seconds_a_frame, -0.5, n_bands - 0.5)
    panel.set_xlabel("seconds")
    # Dark is loud, as ink on paper, so that the picture may be inverted on a dark page.
    look = {"cmap": "Blues", "vmin": QUIETEST_DB, "vmax": LOUDEST_DB, "interpolation": "nearest"}
    return panel.imshow(one.log_mel, origin="lower", aspect="auto", extent=extent, **look)
