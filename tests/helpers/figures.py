"""Collect the figures that a test saves."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def collect_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect every text of the figures that are saved."""
    from matplotlib.text import Text

    return _collect(monkeypatch, lambda figure: (text.get_text() for text in figure.findobj(Text)))


def collect_axes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the axes of the figures that are saved."""
    return _collect(monkeypatch, lambda figure: figure.axes)


def _collect(monkeypatch: pytest.MonkeyPatch, parts: Callable[[Any], Iterable[Any]]) -> list[Any]:
    from matplotlib.figure import Figure

    found: list[Any] = []
    save = Figure.savefig

    def spy(figure: Figure, *args: object, **kwargs: object) -> None:
        save(figure, *args, **kwargs)
        found.extend(parts(figure))

    monkeypatch.setattr(Figure, "savefig", spy)
    return found
