"""Figures of the data show the values of their tables, and are reproducible."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from librosa import mel_frequencies

from ser.reporting import data_plots
from tests.helpers import figures, signals


def draw_emotions(path: Path, title: str = "") -> None:
    rows = [("b", "sad", "male", 3), ("b", "happy", "female", 2), ("a", "bored", "unknown", 7)]
    counts = pd.DataFrame(rows, columns=["corpus", "emotion", "sex", "clips"])
    data_plots.plot_emotions(counts, path, order=["happy", "sad", "bored"], title=title)


def draw_speakers(path: Path, title: str = "", n: int = 3) -> None:
    counts = pd.DataFrame({"corpus": "a", "speaker": [f"{i:02}" for i in range(n)], "sex": "female", "clips": 2})
    data_plots.plot_speakers(counts, path, title=title)


def draw_before_after(path: Path, title: str = "") -> None:
    table = pd.DataFrame({"corpus": ["a", "a", "b"], "before": [3.0, 4.0, 2.0], "after": [1.0, 1.0, 1.0]})
    data_plots.plot_before_after(table, path, label="Duration (s)", title=title)


def draw_example(path: Path, title: str = "") -> None:
    tone = signals.sine(440, seconds=0.5)
    decibels = np.linspace(-60, -20, 400, dtype=np.float32).reshape(8, 50)
    panels = [data_plots.WaveformPanel(name, tone, 16000, decibels, frame_rate=100) for name in ("before", "after")]
    data_plots.plot_example(panels, path, mel_range=(50, 8000), title=title)


DRAWN = [draw_emotions, draw_speakers, draw_before_after, draw_example]


def test_emotions_have_the_same_place_in_every_corpus(tmp_path: Path) -> None:
    """One panel per corpus, and one bar per emotion and sex that the corpus has."""
    first, second = figures.draw(draw_emotions, tmp_path / "emotions.png").axes
    assert first.get_xlim() == second.get_xlim()
    assert [bar.get_height() for bar in first.patches if bar.get_height()] == [7]
    assert [bar.get_height() for bar in second.patches if bar.get_height()] == [2, 3]
    assert [label.get_text() for label in second.get_xticklabels()] == ["happy", "sad", "bored"]


@pytest.mark.parametrize("n", [3, 91])
def test_speakers_have_a_bar_each(tmp_path: Path, n: int) -> None:
    """Speakers are named if there are few."""
    figure = figures.draw(draw_speakers, tmp_path / "speakers.png", n=n)
    assert [bar.get_height() for bar in figure.axes[0].patches if bar.get_height()] == [2] * n
    assert ("00" in figures.texts(figure)) == (n == 3)


def test_before_after_has_two_boxes_per_corpus(tmp_path: Path) -> None:
    """Corpora are in alphabetical order."""
    [axes] = figures.draw(draw_before_after, tmp_path / "duration.png").axes
    assert len(axes.patches) == 4 + 2  # with those of the legend
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_example_places_mel_bands_at_their_frequencies(tmp_path: Path) -> None:
    """The axis of a spectrogram is that of the mel filters, in Hz, and time is in seconds."""
    figure = figures.draw(draw_example, tmp_path / "example.png")
    waves, spectrograms = figure.axes[:2], figure.axes[2:4]
    [mesh] = spectrograms[0].collections
    assert mesh.get_array().shape == (8, 50)
    edges = mesh.get_coordinates()
    centres = mel_frequencies(10, fmin=50, fmax=8000)[1:-1]
    assert (edges[:-1, 0, 1] < centres).all() and (centres < edges[1:, 0, 1]).all()
    assert edges[0, -1, 0] == pytest.approx(0.5, abs=0.01)
    assert all(panel.get_xlim() == (0, 0.5) for panel in (*waves, *spectrograms))
