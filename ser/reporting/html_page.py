"""Render HTML reports: single files without external resources. Only this module imports jinja2.

A report is a template in ser/reporting/templates that extends ``base.html.j2``. Templates escape all values.
"""

import base64
import hashlib
import re
import struct
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser.utils.files import write_text
from ser.utils.wav import wav_bytes

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
MISSING = "\N{EN DASH}"
"""Placeholder for a missing value in a table."""
Formats = Mapping[str, Callable[[Any], str]]
"""Functions that format the values of a column, by column name."""


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
    frame: pd.DataFrame, *, caption: str, formats: Formats | None = None, marked: pd.DataFrame | None = None
) -> Table:
    """Format a data frame as a table.

    Parameters
    ----------
    frame
        The index has the row names; the levels of a MultiIndex are joined by commas.
    caption
        Caption of the table.
    formats
        Functions that format the values of a column, such as ``"{:.1f}".format``; `format_value` by default.
    marked
        Boolean frame of the same shape: cells to highlight. Their text must give the reason, not color alone.
    """
    names = [", ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.index]
    marks = np.zeros(frame.shape, dtype=bool) if marked is None else marked.to_numpy(dtype=bool)
    numeric = [_is_numeric(frame.iloc[:, i]) for i in range(frame.shape[1])]
    writers = [(formats or {}).get(str(name), format_value) for name in frame.columns]
    rows = [
        tuple(map(_cell, values, writers, numeric, row_marks))
        for values, row_marks in zip(frame.itertuples(index=False, name=None), marks, strict=True)
    ]
    columns = tuple(Cell(str(name), number) for name, number in zip(frame.columns, numeric, strict=True))
    corner = ", ".join(str(name) for name in frame.index.names if name is not None)
    return Table(caption, corner, columns, tuple(zip(names, rows, strict=True)))


def _is_numeric(column: pd.Series) -> bool:
    """Check for numbers; a missing value in a column of text is a float, but not a number."""
    return any(isinstance(value, (int, float, np.number)) and not pd.isna(value) for value in column)


def _cell(value: Hashable, writer: Callable[[Any], str], number: bool, marked: bool) -> Cell:
    return Cell(MISSING if pd.isna(value) else writer(value), number, bool(marked))


def format_value(value: Any) -> str:
    """Format an integer with thousands separators, another number with three digits, anything else as text."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, (float, np.floating)) else str(value)


def format_decibels(value: float) -> str:
    """Format a level with one decimal, a true minus sign, and no negative zero."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")


def picture(path: Path, *, alt: str, caption: str) -> Picture:
    """Embed a PNG."""
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])  # of the PNG header
    return Picture(data_uri(content, kind="image/png"), alt, caption, width, height)


def audio_player(signal: npt.NDArray[np.float32], *, rate: int, label: str) -> Player:
    """Embed a signal of shape (n_samples,) and sample rate in Hz as 16-bit WAV, which every browser plays."""
    samples = (np.clip(signal, -1, 1) * 32767).round().astype(np.int16)
    return Player(data_uri(wav_bytes(samples, rate=rate), kind="audio/wav"), label)


def data_uri(content: bytes, *, kind: str) -> str:
    """Encode bytes of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def write(path: Path, template: str, **content: Any) -> None:
    """Render a template, see `render`, and write the page atomically."""
    write_text(path, render(template, **content))


def render(template: str, **content: Any) -> str:
    """Render a template of ser/reporting/templates; a variable missing in `content` is an error."""
    return _environment().get_template(template).render(**content)


def render_with_csp(template: str, *, allowed: str, **content: Any) -> tuple[str, str]:
    """Render the page of the service, and its Content-Security-Policy with the SHA-256 of its scripts and styles.

    Parameters
    ----------
    template
        File name within ser/reporting/templates; its block `policy` holds the variable of this name.
    allowed
        Further directives of the policy, such as ``connect-src 'self'``.
    content
        Variables of the template.

    Returns
    -------
    page, policy : str
        The page and its policy, which the server sends as a header.

    References
    ----------
    Content Security Policy Level 3, W3C.
    """
    draft = render(template, policy="", **content)
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", allowed]
    rules += [f"{kind}-src {_hashes(draft, kind)}" for kind in ("script", "style")]
    policy = "; ".join(rules)
    return render(template, policy=policy, **content), policy


def _hashes(page: str, kind: str) -> str:
    """Hash the content of tags without attributes; scripts with a type are data."""
    inside = re.findall(f"<{kind}>(.*?)</{kind}>", page, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in inside]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


@lru_cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
