"""Draw figures in tests, and read their texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]


def draw(function: Callable[..., None], path: Path, *, title: str = "", **options: Any) -> Figure:
    """Call a function that saves a figure to a path, and return the figure."""
    from matplotlib.figure import Figure

    saved: list[Figure] = []
    save = Figure.savefig

    def spy(figure: Figure, *args: object, **kwargs: object) -> None:
        save(figure, *args, **kwargs)
        saved.append(figure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", spy)
        function(path, title=title, **options)
    return saved[0]


def texts(figure: Figure) -> list[str]:
    """Read every text of a figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text)]
