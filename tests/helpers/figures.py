"""Collect the figures that a test saves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]


def collect_figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect the figures that are saved from now on."""
    from matplotlib.figure import Figure

    saved: list[Figure] = []
    save = Figure.savefig

    def spy(figure: Figure, *args: object, **kwargs: object) -> None:
        save(figure, *args, **kwargs)
        saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", spy)
    return saved


def texts(figure: Figure) -> list[str]:
    """Read every text of a figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]


def check(draw: Callable[..., None], folder: Path, saved: list[Figure]) -> None:
    """Check that a figure is a PNG with its title, and the same bytes when it is saved again in a new folder."""
    paths = [folder / "once.png", folder / "new folder" / "twice.png"]
    for path in paths:
        draw(path, title="a_$x_$y.wav")
    once, twice = (path.read_bytes() for path in paths)
    assert once.startswith(b"\x89PNG\r\n\x1a\n")
    assert once == twice
    assert b"atplotlib" not in once
    assert "a_$x_$y.wav" in texts(saved[0])
