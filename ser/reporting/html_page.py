"""Render reports from templates in ser/reporting/templates. Only this module imports jinja2.

HTML pages extend ``base.html.j2``, are single files without external resources, and escape all values.
"""

import base64
import hashlib
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.utils.wav import wav_bytes

TEMPLATES = Path(__file__).parent / "templates"
MISSING = "\N{EN DASH}"
"""Placeholder for a missing value in a table."""


@dataclass(frozen=True)
class Callout:
    """A warning with a title."""

    title: str
    text: str


@dataclass(frozen=True)
class Cell:
    """Text of a table cell; numbers are right-aligned, marked cells are highlighted."""

    text: str
    number: bool
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """A formatted table; `corner` is the header of the row names."""

    caption: str
    corner: str
    columns: tuple[Cell, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, with alternative text, caption, and width and height in pixels."""

    uri: str
    alt: str
    caption: str
    width: int
    height: int


@dataclass(frozen=True)
class Player:
    """A recording as a data URI, and its label."""

    uri: str
    label: str


def table(
    frame: pd.DataFrame,
    *,
    caption: str,
    formats: Mapping[str, Callable[[Any], str]] | None = None,
    marked: pd.DataFrame | None = None,
) -> Table:
    """Format a data frame as a table.

    Parameters
    ----------
    frame
        The index has the row names; the levels of a MultiIndex are joined by commas.
    formats
        Functions that format the values of a column, such as ``"{:.1f}".format``; `format_value` by default.
    marked
        Boolean frame with some of the rows and columns: cells to highlight. Their text must give the reason, not color
        alone.
    """
    names = [", ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.index]
    columns = [
        # a missing value in a column of text is a float, but not a number
        Cell(str(name), any(isinstance(value, (int, float, np.number)) and not pd.isna(value) for value in column))
        for name, column in frame.items()
    ]
    writers = [(formats or {}).get(column.text, format_value) for column in columns]
    marks = np.zeros(frame.shape, dtype=bool)
    if marked is not None:
        marks = marked.reindex(index=frame.index, columns=frame.columns, fill_value=False).to_numpy(bool)
    cells = [
        tuple(
            Cell(MISSING if pd.isna(value) else writer(value), column.number, bool(mark))
            for value, writer, column, mark in zip(row, writers, columns, row_marks, strict=True)
        )
        for row, row_marks in zip(frame.itertuples(index=False, name=None), marks, strict=True)
    ]
    corner = ", ".join(str(name) for name in frame.index.names if name is not None)
    return Table(caption, corner, tuple(columns), tuple(zip(names, cells, strict=True)))


def format_value(value: Any) -> str:
    """Format an integer with thousands separators, another number with three decimals, anything else as text."""
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, (float, np.floating)) else str(value)


def format_number(value: float, *, decimals: int, sign: str = "") -> str:
    """Format a number with a true minus sign, and no negative zero; with the sign ``+``, positive numbers too."""
    return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def picture(path: Path, *, alt: str, caption: str) -> Picture:
    """Embed a PNG."""
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])  # of the PNG header
    return Picture(data_uri(content, kind="image/png"), alt, caption, width, height)


def plot(function: Callable[..., None], data: Any, path: Path, *, alt: str, caption: str, **options: Any) -> Picture:
    """Write a figure by a function of `ser.reporting.plots` with its options, and embed it."""
    function(data, path, **options)
    return picture(path, alt=alt, caption=caption)


def audio_player(signal: npt.NDArray[np.float32], *, rate: int, label: str) -> Player:
    """Embed a signal of shape (n_samples,) and sample rate in Hz as 16-bit WAV, which every browser plays."""
    samples = (np.clip(signal, -1, 1) * 32767).round().astype(np.int16)
    return Player(data_uri(wav_bytes(samples, rate=rate), kind="audio/wav"), label)


def data_uri(content: bytes, *, kind: str) -> str:
    """Encode bytes of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def render(template: str, **content: Any) -> str:
    """Render a template of ser/reporting/templates; a variable missing in `content` is an error."""
    return _environment().get_template(template).render(**content)


def render_with_csp(template: str, *, allowed: str, **content: Any) -> tuple[str, str]:
    """Render the page of the service, and its Content-Security-Policy with the SHA-256 of its scripts and styles.

    Parameters
    ----------
    template
        Template with a variable `policy`.
    allowed
        Further directives of the policy, such as ``connect-src 'self'``.

    Returns
    -------
    page, policy : str

    References
    ----------
    Content Security Policy Level 3, W3C.
    """
    draft = render(template, policy="", **content)
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", allowed]
    for kind in ("script", "style"):
        texts = re.findall(f"<{kind}>(.*?)</{kind}>", draft, flags=re.DOTALL)  # scripts with a type are data
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in texts]
        rules.append(" ".join([f"{kind}-src", *(f"'sha256-{digest}'" for digest in digests)]))
    policy = "; ".join(rules)
    return render(template, policy=policy, **content), policy


@lru_cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is None or not name.endswith(".md.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
