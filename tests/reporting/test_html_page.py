"""Pages are single files without external resources, and escape all values."""

import io
import re
import wave
from base64 import b64decode
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd

from ser.reporting import html_page
from tests.helpers import signals

TEMPLATE = """{% extends "base.html.j2" %}{% import "parts.html.j2" as parts %}
{% block title %}{{ name }}{% endblock %}
{% block sections %}{{ parts.table(it) }}{{ parts.players(players) }}{{ parts.notes(notes) }}{% endblock %}"""


class Page(HTMLParser):
    """A page with its tags and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def render(**changes: Any) -> Page:
    """Render a small template with the common layout and macros."""
    table = html_page.table(pd.DataFrame({"n": [1]}, index=["a"]), caption="c")
    content = {"name": "page", "it": table, "players": [], "notes": []} | changes
    return Page(html_page._environment().from_string(TEMPLATE).render(**content))


def test_values_are_escaped() -> None:
    """Names of files and columns are text, also in attributes."""
    evil = '<script>alert("1")</script>\'" onerror=x'
    frame = pd.DataFrame({evil: [evil]}, index=pd.Index([evil], name=evil))
    page = render(name=evil, it=html_page.table(frame, caption=evil), notes=[html_page.Callout(evil, evil)])
    assert not page.all("script")
    assert not [a for _, attributes in page.tags for a in attributes if a == "onerror"]
    # title, heading, caption, corner, column, row, cell, and the two of the note
    assert page.text.count(evil) == 9


def test_page_loads_nothing() -> None:
    """All resources are embedded, and the policy forbids others."""
    page = render(players=[html_page.audio_player(signals.sine(440), rate=16000, label="a tone")])
    assert "default-src 'none'" in page.html
    sources = [attributes["src"] for _, attributes in page.tags if "src" in attributes]
    assert sources and all(source.startswith("data:") for source in sources)
    assert not [text for text in ("<link", "url(", "@import") if text in page.html]


def test_table_has_headers_and_formatted_cells() -> None:
    """Each cell has a row and a column header; numbers are formatted by type or by column."""
    frame = pd.DataFrame({"clips": [1234], "fraction": [0.5], "name": ["x"], "empty": [None]}, index=["tess"])
    made = html_page.table(frame.rename_axis("corpus"), caption="Counts", formats={"fraction": "{:.0%}".format})
    page = render(it=made)
    assert [a["scope"] for a in page.all("th")] == ["col"] * 5 + ["row"]
    assert len(page.all("caption")) == 1
    [(_, cells)] = made.rows
    assert [cell.text for cell in cells] == ["1,234", "50%", "x", html_page.MISSING]
    assert [cell.number for cell in cells] == [True, True, False, False]


def test_marked_cells() -> None:
    frame = pd.DataFrame({"a": [1, 0], "b": [2, 3]}, index=pd.MultiIndex.from_tuples([("x", "f"), ("x", "m")]))
    rows = html_page.table(frame, caption="", marked=frame == 0).rows
    marked = [(name, [cell.marked for cell in cells]) for name, cells in rows]
    assert marked == [("x, f", [False, False]), ("x, m", [True, False])]


def test_columns_with_missing_text_are_text() -> None:
    """Missing values do not make a column of text numeric; long text has a class of its own."""
    frame = pd.DataFrame({"emotion": ["sad", np.nan], "n": [1.0, np.nan], "none": [None, np.nan]})
    assert [cell.number for cell in html_page.table(frame, caption="").columns] == [False, True, False]
    frame = pd.DataFrame({"note": ["short", "a text of more than forty characters is long"]})
    cells = render(it=html_page.table(frame, caption="")).all("td")[1:]
    assert [cell.get("class") for cell in cells] == [None, "long"]


def test_player_has_the_signal_and_a_label() -> None:
    """The signal is clipped to 16 bits and has its sample rate."""
    signal = signals.sine(440, seconds=0.1, amplitude=1.5)
    player = html_page.audio_player(signal, rate=24414, label='"before"')
    with wave.open(io.BytesIO(b64decode(player.uri.removeprefix("data:audio/wav;base64,")))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (24414, 1, len(signal))
        samples = np.frombuffer(file.readframes(len(signal)), dtype="<i2") / 32767
    assert np.abs(samples - np.clip(signal, -1, 1)).max() < 1e-4
    [audio] = render(players=[player]).all("audio")
    assert audio["aria-label"] == '"before"'
    assert "controls" in audio


def test_layout_supports_dark_mode_and_small_screens() -> None:
    """Both color schemes define all colors; wide tables and code scroll."""
    page = render().html
    assert 'name="viewport"' in page and '<html lang="en">' in page and "<h1>page</h1>" in page
    light, dark = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)
    names = [set(re.findall(r"(--[\w-]+):", colors)) for colors in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--[\w-]+)\)", page)) == names[0] | {"--cover"}
    assert "overflow-x: auto" in page.partition(".scroll, pre {")[2].partition("}")[0]
