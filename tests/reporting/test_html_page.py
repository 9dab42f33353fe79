"""Pages are one file that needs nothing else, and whatever stands in a table is text."""

import io
import re
import wave
from base64 import b64decode
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.reporting import html_page
from tests.helpers import signals

TEMPLATE = """{% extends "base.html.j2" %}{% import "parts.html.j2" as parts %}
{% block title %}{{ name }}{% endblock %}
{% block sections %}{{ parts.table(it) }}{{ parts.players(players) }}{{ parts.notes(notes) }}{% endblock %}"""


class Outline(HTMLParser):
    """Collect the tags of a page, with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@dataclass
class Page:
    """A page that was written, its bytes, and what a reader sees of it."""

    html: str
    outline: Outline = field(init=False)

    def __post_init__(self) -> None:
        self.outline = Outline(self.html)

    @property
    def text(self) -> str:
        return " ".join(self.outline.text.split())


@pytest.fixture
def render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Fill a small template that uses the common look and parts."""
    folder = tmp_path / "templates"
    folder.mkdir()
    for path in html_page.TEMPLATES.glob("*.j2"):
        (folder / path.name).write_text(path.read_text())
    (folder / "small.html.j2").write_text(TEMPLATE)
    monkeypatch.setattr(html_page, "TEMPLATES", folder)
    html_page._environment.cache_clear()
    yield lambda **content: _filled(tmp_path / "page.html", content)
    html_page._environment.cache_clear()


def _filled(path: Path, content: dict[str, object]) -> str:
    frame = pd.DataFrame({"n": [1]}, index=["a"])
    html_page.write(
        path,
        "small.html.j2",
        **({"name": "page", "it": html_page.table(frame, caption="c"), "players": [], "notes": []} | content),
    )
    return path.read_text(encoding="utf-8")


def test_whatever_stands_in_a_table_is_text(render) -> None:
    """Names of files and columns cannot become part of the page, in text or in attributes."""
    evil = '<script>alert("1")</script>\'" onerror=x'
    frame = pd.DataFrame({evil: [evil]}, index=pd.Index([evil], name=evil))
    page = render(name=evil, it=html_page.table(frame, caption=evil), notes=[html_page.Callout(evil, evil)])
    outline = Outline(page)
    assert not outline.all("script")
    assert not [a for _, attributes in outline.tags for a in attributes if a == "onerror"]
    # title, heading, caption, corner, column, row, cell, and the two of the note
    assert outline.text.count(evil) == 9


def test_a_page_loads_nothing(render) -> None:
    """A page may be sent to somebody who has no network, and tells nobody that it is read."""
    page = render(players=[html_page.audio_player(signals.sine(440), rate=16000, label="a tone")])
    assert "default-src 'none'" in page
    sources = [attributes["src"] for _, attributes in Outline(page).tags if "src" in attributes]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert not Outline(page).all("link")
    assert "url(" not in page
    assert "@import" not in page


def test_a_table_says_what_its_cells_are(render) -> None:
    """Readers who listen to a page hear a caption, and the names of row and column with each cell."""
    frame = pd.DataFrame({"clips": [1234], "share": [0.5], "who": ["x"], "nothing": [None]}, index=["tess"])
    made = html_page.table(frame.rename_axis("corpus"), caption="Counts", formats={"share": "{:.0%}".format})
    outline = Outline(render(it=made))
    assert [a["scope"] for a in outline.all("th")] == ["col"] * 5 + ["row"]
    assert len(outline.all("caption")) == 1
    (_, cells), *_ = made.rows
    assert [cell.text for cell in cells] == ["1,234", "50%", "x", html_page.MISSING]
    assert [cell.number for cell in cells] == [True, True, False, False]


def test_marks_go_to_their_cells() -> None:
    """The cell that is marked is the one that the frame of marks says."""
    frame = pd.DataFrame({"a": [1, 0], "b": [2, 3]}, index=pd.MultiIndex.from_tuples([("x", "f"), ("x", "m")]))
    made = html_page.table(frame, caption="", marked=frame == 0)
    assert [(name, [cell.marked for cell in cells]) for name, cells in made.rows] == [
        ("x, f", [False, False]),
        ("x, m", [True, False]),
    ]


def test_a_player_holds_the_signal(render) -> None:
    """What is played is the signal at its rate, whole, and its name is there for those who do not see it."""
    signal = signals.sine(440, seconds=0.1, amplitude=1.5)
    player = html_page.audio_player(signal, rate=24414, label='"before"')
    with wave.open(io.BytesIO(b64decode(player.uri.removeprefix("data:audio/wav;base64,")))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (24414, 1, len(signal))
        samples = np.frombuffer(file.readframes(len(signal)), dtype="<i2") / 32767
    assert np.abs(samples - np.clip(signal, -1, 1)).max() < 1e-4
    (audio,) = Outline(render(players=[player])).all("audio")
    assert audio["aria-label"] == '"before"'
    assert "controls" in audio


def test_a_page_fits_light_and_dark_and_telephones(render) -> None:
    """The look follows the reader's settings and the width of the screen."""
    page = render()
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert '<html lang="en">' in page
    assert re.search(r"<h1>page</h1>", page)


def test_every_colour_is_known_in_light_and_dark(render) -> None:
    """A colour that only one of the two schemes names would vanish, or glare, in the other."""
    light, dark = re.findall(r":root \{(.*?)\}", render(), flags=re.DOTALL)
    names = [set(re.findall(r"(--[\w-]+):", colours)) for colours in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--[\w-]+)\)", render())) == names[0] | {"--under"}


def test_what_is_wider_than_the_page_is_shaded_where_it_goes_on(render) -> None:
    """Tables and commands that are cut show it without a script: shades at the sides, and covers that scroll along."""
    page = render()
    rule = page.partition(".scroll, pre {")[2].partition("}")[0]
    assert "overflow-x: auto" in rule
    assert "background-attachment: local, local, scroll, scroll" in rule
    covers, shades = rule.count("var(--under) 55%, transparent"), rule.count("var(--shade), transparent")
    assert (covers, shades) == (2, 2)
    around = Outline(page).tags[: [tag for tag, _ in Outline(page).tags].index("table")][-2:]
    assert [attributes["class"] for _, attributes in around] == ["scroll", "whole"]


def test_a_wide_table_says_in_words_that_there_is_more(render) -> None:
    """Where scroll bars are hidden a shade may be missed: a word stays in view, and hides when the edge is reached."""
    page = render()
    outline = Outline(page)
    boxes = [attributes["class"] for tag, attributes in outline.tags if tag == "div"][1:4]
    assert boxes == ["scroll", "whole", "more"]
    style = page.partition("</style>")[0]
    word, cover = (style.partition(f".more::{which} {{")[2].partition("}")[0] for which in ("before", "after"))
    assert "more to the right" in word and "position: sticky; right:" in word
    assert "position: absolute" in cover and "background: var(--paper)" in cover
    assert style.index(".more::before") < style.index(".more::after")  # which lies on it


def test_missing_text_is_no_number() -> None:
    """A column of words stays one where some are missing; long words get the room to be read."""
    frame = pd.DataFrame({"taken for": ["sad", np.nan], "n": [1.0, np.nan], "none": [None, np.nan]})
    assert [cell.number for cell in html_page.table(frame, caption="").columns] == [False, True, False]


def test_long_text_gets_room(render) -> None:
    """A sentence in a cell is not squeezed into a column of words, which would make its row as high as the screen."""
    frame = pd.DataFrame({"note": ["word", "a demonstration, not a result: copies are in training"]})
    assert [cell.get("class") for cell in Outline(render(it=html_page.table(frame, caption=""))).all("td")[1:]] == [
        None,
        "long",
    ]


def test_what_a_template_lacks_is_an_error(tmp_path: Path) -> None:
    """A report that forgot a part is no report, and leaves none behind."""
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        html_page.write(tmp_path / "page.html", "data.html.j2")
    assert list(tmp_path.iterdir()) == []
