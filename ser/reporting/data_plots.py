"""Plot the data: clips by emotion and speaker, preprocessing before and after, waveforms and spectrograms."""

from collections.abc import Iterator, Sequence
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
"""Range of the colours of a log-mel spectrogram."""
WAVE_POINTS = 600
"""Points of a waveform: about one per pixel."""


def plot_emotions(counts: pd.DataFrame, path: Path, *, order: Sequence[str], title: str) -> None:
    """Plot the number of clips by emotion and sex: one panel per corpus.

    Parameters
    ----------
    counts
        Columns corpus, emotion, sex (``female``, ``male`` or ``unknown``) and clips.
    path
        Path of the PNG.
    order
        Emotions in the order of the bars, the same in every panel.
    title
        Title of the figure.
    """
    import seaborn as sns

    with _panels(counts, path, title=title, height=1.25) as panels:
        for panel, rows in panels:
            look = {"palette": SEX_COLOURS, "hue_order": present_sexes(rows), "order": order, "errorbar": None}
            sns.barplot(rows, x="emotion", y="clips", hue="sex", ax=panel, **look)
            panel.tick_params(axis="x", labelbottom=panel is panels[-1][0], rotation=30 if len(order) > 6 else 0)


@contextmanager
def _panels(table: pd.DataFrame, path: Path, *, title: str, height: float) -> Iterator[list[tuple[Any, pd.DataFrame]]]:
    """Open a figure with one panel per corpus, each `height` inches high; yield the panels with their rows."""
    corpora = sorted(table.corpus.unique())
    tall = 0.9 + height * len(corpora)
    with open_figure(path, width=6, height=tall, dpi=FINE_DPI, nrows=len(corpora), squeeze=False) as axes:
        panels = list(axes[:, 0])
        yield [(panel, table[table.corpus == name]) for panel, name in zip(panels, corpora, strict=True)]
        for panel, name in zip(panels, corpora, strict=True):
            panel.set_title(name, loc="left", fontsize="medium", fontweight="bold")
            panel.set(xlabel="", ylabel="Clips")
            panel.spines[["top", "right"]].set_visible(False)
            if panel.get_legend():
                at = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98), "borderaxespad": 0, "ncols": 3}
                panel.legend(title=None, frameon=False, fontsize="small", **at)
        panels[0].figure.suptitle(title, x=0.01, ha="left", fontsize="large")


def plot_before_after(table: pd.DataFrame, path: Path, *, label: str, title: str) -> None:
    """Plot the distribution of a measure in each corpus, before and after preprocessing, as box plots.

    Boxes show the quartiles; whiskers extend to the minimum and maximum.

    Parameters
    ----------
    table
        One row per recording, with columns corpus, before and after.
    path
        Path of the PNG.
    label
        Label of the axis, with the unit of the measure.
    title
        Title of the figure.
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
    """Plot the number of clips of each speaker: one panel per corpus.

    Parameters
    ----------
    counts
        Columns corpus, speaker, sex (``female``, ``male`` or ``unknown``) and clips, in the order of the bars.
    path
        Path of the PNG.
    title
        Title of the figure.
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
    """A signal and its log-mel spectrogram.

    Attributes
    ----------
    label
        Title of the panel.
    signal : ndarray of shape (n_samples,)
    rate
        Sample rate of the signal in Hz.
    log_mel : ndarray of shape (n_mels, n_frames)
        In dB.
    frame_rate
        Frames of the spectrogram per second.
    """

    label: str
    signal: npt.NDArray[np.float32]
    rate: int
    log_mel: npt.NDArray[np.float32]
    frame_rate: float


def plot_example(panels: Sequence[WaveformPanel], path: Path, *, mel_range: tuple[float, float], title: str) -> None:
    """Plot waveforms and log-mel spectrograms next to each other, on the same scales of time, amplitude and frequency.

    Parameters
    ----------
    panels
        Signals, such as a recording before and after preprocessing.
    path
        Path of the PNG.
    mel_range
        Lowest and highest frequency of the mel filters in Hz.
    title
        Title of the figure.
    """
    from librosa import mel_frequencies
    from librosa.display import specshow, waveshow

    low, high = mel_range
    seconds = max(len(panel.signal) / panel.rate for panel in panels)
    full = max(float(np.abs(panel.signal).max()) for panel in panels)
    grid: dict[str, Any] = {"ncols": len(panels), "nrows": 2, "squeeze": False, "sharex": True, "sharey": "row"}
    # Fixed margins: a report has many of these, and computing the layout takes longer than drawing.
    margins = {"left": 0.14, "right": 0.87, "top": 0.86, "bottom": 0.14, "hspace": 0.12, "wspace": 0.12}
    # Dark is loud, as ink on paper, so that the picture may be inverted on a dark page.
    look = {"cmap": "Blues", "vmin": QUIETEST_DB, "vmax": LOUDEST_DB, "x_axis": "s", "y_axis": "mel", "hop_length": 1}
    with open_figure(path, width=6, height=3.4, dpi=FINE_DPI, layout=None, gridspec_kw=margins, **grid) as axes:
        for panel, (wave, spectrogram) in zip(panels, axes.T, strict=True):
            wave.set_title(panel.label, loc="left", fontsize="medium")
            waveshow(panel.signal, sr=panel.rate, ax=wave, max_points=WAVE_POINTS, axis=None, color=AFTER)
            centres = mel_frequencies(len(panel.log_mel) + 2, fmin=low, fmax=high)[1:-1]
            mesh = specshow(panel.log_mel, sr=panel.frame_rate, y_coords=centres, ax=spectrogram, **look)
            spectrogram.locator_params(axis="x", nbins=4)
            wave.spines[["top", "right"]].set_visible(False)
        axes[0, 0].set(xlim=(0, seconds), ylim=(-1.05 * full, 1.05 * full), ylabel="Amplitude")
        axes[1, 0].set_ylabel("Frequency (Hz)")
        for ax in axes.flat:
            ax.label_outer()
        figure = axes[0, 0].figure
        figure.align_ylabels(axes[:, 0])
        figure.colorbar(mesh, cax=figure.add_axes((0.885, 0.14, 0.015, 0.32)), label="dB")
        figure.suptitle(title, x=0.01, ha="left", fontsize="small")
