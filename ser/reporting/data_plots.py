"""Plot the data: clips by emotion and speaker, preprocessing before and after, waveforms and spectrograms.

All functions write a PNG to `path`, with `title` above the figure.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.reporting.plots import ABOVE, AFTER, FEW_SPEAKERS, SEX_COLOURS, open_figure, present_sexes

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
    order
        Emotions in the order of the bars, the same in every panel.
    """
    import seaborn as sns

    with _panels(counts, path, title=title) as panels:
        for panel, rows in panels:
            style = {"palette": SEX_COLOURS, "hue_order": present_sexes(rows), "order": order, "errorbar": None}
            sns.barplot(rows, x="emotion", y="clips", hue="sex", ax=panel, **style)
            panel.tick_params(axis="x", labelbottom=panel is panels[-1][0], rotation=30 if len(order) > 6 else 0)


@contextmanager
def _panels(table: pd.DataFrame, path: Path, *, title: str) -> Iterator[list[tuple[Any, pd.DataFrame]]]:
    """Open a figure with one panel per corpus, and yield the panels with their rows."""
    groups = list(table.groupby("corpus"))
    grid: dict[str, Any] = {"nrows": len(groups), "squeeze": False, "gridspec_kw": {"hspace": 0.45}}
    with open_figure(path, width=5.4, height=1.2 * len(groups), title=title, above=0.35, **grid) as axes:
        yield [(panel, rows) for panel, (_, rows) in zip(axes[:, 0], groups, strict=True)]
        for panel, (name, _) in zip(axes[:, 0], groups, strict=True):
            panel.set_title(name, loc="left", fontsize="medium", fontweight="bold")
            panel.set(xlabel="", ylabel="Clips")
            panel.legend(title=None, ncols=3, **ABOVE)


def plot_before_after(table: pd.DataFrame, path: Path, *, label: str, title: str) -> None:
    """Plot the distribution of a measure in each corpus, before and after preprocessing, as box plots.

    Boxes show the quartiles; whiskers extend to the minimum and maximum.

    Parameters
    ----------
    table
        One row per recording, with columns corpus, before and after.
    label
        Label of the axis, with the unit of the measure.
    """
    import seaborn as sns

    long = table.melt("corpus", ["before", "after"], var_name="stage", value_name="value")
    order = sorted(table.corpus.unique())
    style = {"palette": {"before": BEFORE, "after": AFTER}, "hue_order": ["before", "after"], "order": order}
    lines = {"whis": (0, 100), "gap": 0.15, "linewidth": 1.1, "linecolor": "#222222"}
    with open_figure(path, width=5, height=0.75 * len(order), title=title, above=0.35) as axes:
        sns.boxplot(long, x="value", y="corpus", hue="stage", ax=axes, **style, **lines)
        axes.set(xlabel=label, ylabel="")
        axes.grid(axis="x", linewidth=0.4)
        axes.legend(title=None, ncols=2, **ABOVE)


def plot_speakers(counts: pd.DataFrame, path: Path, *, title: str) -> None:
    """Plot the number of clips of each speaker: one panel per corpus.

    Parameters
    ----------
    counts
        Columns corpus, speaker, sex (``female``, ``male`` or ``unknown``) and clips, in the order of the bars.
    """
    import seaborn as sns

    with _panels(counts, path, title=title) as panels:
        for panel, rows in panels:
            style = {"palette": SEX_COLOURS, "hue_order": present_sexes(rows), "dodge": False, "width": 0.8}
            sns.barplot(rows, x="speaker", y="clips", hue="sex", ax=panel, errorbar=None, **style)
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
    signal : ndarray of shape (n_samples,)
    rate
        Sample rate of the signal in Hz.
    log_mel : ndarray of shape (n_mels, n_frames), in dB
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
    mel_range
        Lowest and highest frequency of the mel filters in Hz.
    """
    from librosa import mel_frequencies
    from librosa.display import specshow, waveshow

    low, high = mel_range
    seconds = max(len(panel.signal) / panel.rate for panel in panels)
    full = max(float(np.abs(panel.signal).max()) for panel in panels)
    space = {"hspace": 0.12, "wspace": 0.12}
    grid: dict[str, Any] = {"ncols": len(panels), "nrows": 2, "squeeze": False, "sharex": True, "sharey": "row"}
    # Dark is loud, as ink on paper, so that the picture may be inverted on a dark page.
    levels = {"cmap": "Blues", "vmin": QUIETEST_DB, "vmax": LOUDEST_DB}
    with open_figure(path, width=5, height=2.6, title=title, above=0.3, gridspec_kw=space, **grid) as axes:
        for panel, (wave, spectrogram) in zip(panels, axes.T, strict=True):
            wave.set_title(panel.label, loc="left", fontsize="medium")
            waveshow(panel.signal, sr=panel.rate, ax=wave, max_points=WAVE_POINTS, axis=None, color=AFTER)
            centres = mel_frequencies(len(panel.log_mel) + 2, fmin=low, fmax=high)[1:-1]
            axis = {"sr": panel.frame_rate, "hop_length": 1, "x_axis": "s", "y_axis": "mel", "y_coords": centres}
            mesh = specshow(panel.log_mel, ax=spectrogram, **axis, **levels)
            spectrogram.locator_params(axis="x", nbins=4)
            spectrogram.set_xlabel("Time (s)")
        axes[0, 0].set(xlim=(0, seconds), ylim=(-1.05 * full, 1.05 * full), ylabel="Amplitude")
        axes[1, 0].set_ylabel("Frequency (Hz)")
        for ax in axes.flat:
            ax.label_outer()
        figure = axes[0, 0].figure
        figure.align_ylabels(axes[:, 0])
        figure.colorbar(mesh, cax=figure.add_axes((1.02, 0, 0.02, 0.47)), label="dB")
