"""Figures of the data come from tables, show what they say, and are the same bytes twice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.reporting import data_plots
from tests.helpers import figures, signals

PNG = b"\x89PNG\r\n\x1a\n"


def by_sex() -> pd.DataFrame:
    rows = [("b", "sad", "male", 3), ("b", "happy", "female", 2), ("a", "bored", "unknown", 7)]
    return pd.DataFrame(rows, columns=["corpus", "emotion", "sex", "clips"])


def draw_emotions(path: Path, title: str = "emotions") -> None:
    data_plots.plot_emotions(by_sex(), path, order=["happy", "sad", "bored"], title=title)


def draw_speakers(path: Path, title: str = "speakers", n: int = 3) -> None:
    names = [f"{i:02}" for i in range(n)]
    data_plots.plot_speakers(
        pd.DataFrame({"corpus": "a", "speaker": names, "sex": "female", "clips": 2}), path, title=title
    )


def draw_before_after(path: Path, title: str = "seconds") -> None:
    table = pd.DataFrame({"corpus": ["a", "a", "b"], "before": [3.0, 4.0, 2.0], "after": [1.0, 1.0, 1.0]})
    data_plots.plot_before_after(table, path, label="seconds", title=title)


def draw_example(path: Path, title: str = "a_$x_$y.wav") -> None:
    tone = signals.sine(440, seconds=0.5)
    heard = [data_plots.WaveformPanel(name, tone, 16000, np.full((8, 50), -40.0), 0.01) for name in ("before", "after")]
    data_plots.plot_example(heard, path, bands={"1 kHz": 3.5}, title=title)


DRAWN = [draw_emotions, draw_speakers, draw_before_after, draw_example]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return figures.collect_texts(monkeypatch)


@pytest.mark.parametrize("draw", DRAWN)
def test_a_picture_is_the_same_bytes_twice(tmp_path: Path, draw: Callable[[Path], None]) -> None:
    """A picture holds no time and no version, so that DVC and Git see a change only where there is one."""
    draw(tmp_path / "once.png")
    draw(tmp_path / "new folder" / "twice.png")
    once, twice = (tmp_path / "once.png").read_bytes(), (tmp_path / "new folder" / "twice.png").read_bytes()
    assert once.startswith(PNG)
    assert once == twice
    assert b"atplotlib" not in once


@pytest.mark.parametrize("draw", DRAWN)
def test_a_picture_bears_its_title(tmp_path: Path, texts: list[str], draw: Callable[..., None]) -> None:
    """What was tested on what stands in the picture, which may be passed on without its page."""
    draw(tmp_path / "picture.png", title="demo, synthetic")
    assert "demo, synthetic" in texts


def test_speakers_are_named_where_there_is_room(tmp_path: Path, texts: list[str]) -> None:
    """Thirty speakers can be told apart below their bars, and ninety-one cannot."""
    draw_speakers(tmp_path / "few.png", n=3)
    assert {"00", "01", "02"} <= set(texts)
    texts.clear()
    draw_speakers(tmp_path / "many.png", n=91)
    assert "00" not in texts


def test_every_corpus_shows_every_emotion_in_one_order(tmp_path: Path, texts: list[str]) -> None:
    """Gaps are seen because emotions stand below each other; corpora and sexes are named."""
    draw_emotions(tmp_path / "emotions.png")
    assert {"a", "b", "female", "male", "unknown"} <= set(texts)
    named = dict.fromkeys(text for text in texts if text in ("happy", "sad", "bored"))
    assert list(named) == ["happy", "sad", "bored"]
