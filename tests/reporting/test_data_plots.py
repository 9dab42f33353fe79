"""Figures of the data show the values of their tables, and are reproducible."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from librosa import mel_frequencies

from ser.reporting import data_plots
from tests.helpers import figures, signals


def speakers(n: int) -> pd.DataFrame:
    return pd.DataFrame({"corpus": "a", "speaker": [f"{i:02}" for i in range(n)], "sex": "female", "clips": 2})


TONE = signals.sine(440, seconds=0.5)
DECIBELS = np.linspace(-60, -20, 400, dtype=np.float32).reshape(8, 50)
PANELS = [data_plots.WaveformPanel(name, TONE, 16000, DECIBELS, frame_rate=100) for name in ("before", "after")]
ROWS = [("b", "sad", "male", 3), ("b", "happy", "female", 2), ("a", "bored", "unknown", 7)]
EMOTIONS = pd.DataFrame(ROWS, columns=["corpus", "emotion", "sex", "clips"])
DURATIONS = pd.DataFrame({"corpus": ["a", "a", "b"], "before": [3.0, 4.0, 2.0], "after": [1.0, 1.0, 1.0]})
DRAWN: dict[str, Callable[..., None]] = {
    "emotions": partial(data_plots.plot_emotions, EMOTIONS, order=["happy", "sad", "bored"]),
    "speakers": partial(data_plots.plot_speakers, speakers(3)),
    "before_after": partial(data_plots.plot_before_after, DURATIONS, label="Duration (s)"),
    "example": partial(data_plots.plot_example, PANELS, mel_range=(50, 8000)),
}


def test_emotions_have_the_same_place_in_every_corpus(tmp_path: Path) -> None:
    """One panel per corpus, and one bar per emotion and sex that the corpus has."""
    first, second = figures.draw(DRAWN["emotions"], tmp_path / "emotions.png").axes
    assert first.get_xlim() == second.get_xlim()
    assert [bar.get_height() for bar in first.patches if bar.get_height()] == [7]
    assert [bar.get_height() for bar in second.patches if bar.get_height()] == [2, 3]
    assert [label.get_text() for label in second.get_xticklabels()] == ["happy", "sad", "bored"]


@pytest.mark.parametrize("n", [3, 91])
def test_speakers_have_a_bar_each(tmp_path: Path, n: int) -> None:
    """Speakers are named if there are few."""
    figure = figures.draw(partial(data_plots.plot_speakers, speakers(n)), tmp_path / "speakers.png")
    assert [bar.get_height() for bar in figure.axes[0].patches if bar.get_height()] == [2] * n
    assert ("00" in figures.texts(figure)) == (n == 3)


def test_before_after_has_two_boxes_per_corpus(tmp_path: Path) -> None:
    [axes] = figures.draw(DRAWN["before_after"], tmp_path / "duration.png").axes
    assert len(axes.patches) == 4 + 2  # with those of the legend
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_example_places_mel_bands_at_their_frequencies(tmp_path: Path) -> None:
    """The axis of a spectrogram is that of the mel filters, in Hz, and time is in seconds."""
    figure = figures.draw(DRAWN["example"], tmp_path / "example.png")
    waves, spectrograms = figure.axes[:2], figure.axes[2:4]
    [mesh] = spectrograms[0].collections
    assert mesh.get_array().shape == (8, 50)
    edges = mesh.get_coordinates()
    centres = mel_frequencies(10, fmin=50, fmax=8000)[1:-1]
    assert (edges[:-1, 0, 1] < centres).all() and (centres < edges[1:, 0, 1]).all()
    assert edges[0, -1, 0] == pytest.approx(0.5, abs=0.01)
    assert all(panel.get_xlim() == (0, 0.5) for panel in (*waves, *spectrograms))
