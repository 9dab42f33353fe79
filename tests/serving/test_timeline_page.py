"""A timeline's page is one file that plays, loads nothing and runs its own script; its picture shows the ribbons."""

import json
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest

from ser.audio import io as audio_io
from ser.inference import timeline
from ser.inference.sliding_window import WindowSettings
from ser.inference.timeline import Timeline
from ser.reporting import plots
from ser.serving import timeline_page
from tests.helpers.browser import browsing
from tests.helpers.fake_model import FakeModel, call, quiet
from tests.helpers.signals import encode
from tests.reporting.test_html_page import Outline

SOUND = encode(call())


@pytest.fixture(scope="module")
def found() -> Timeline:
    return timeline.predict_timeline(SOUND, FakeModel(), WindowSettings())


@pytest.fixture(scope="module")
def files(found: Timeline, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    stem = tmp_path_factory.mktemp("page") / "call"
    return timeline_page.save(found, stem, recording=SOUND, name="<call>.wav", layout=WindowSettings())


def test_the_page_holds_the_recording(files: list[Path]) -> None:
    """What it plays is the recording, as MP3, within the page."""
    [player] = Outline(files[1].read_text()).all("audio")
    samples, rate = audio_io.decode(b64decode(player["src"].removeprefix("data:audio/mpeg;base64,")))
    assert rate == 16000
    assert len(samples) == pytest.approx(len(call()), abs=3000)


def test_the_page_loads_nothing(files: list[Path]) -> None:
    """The policy allows no other source, and the name of the recording is escaped."""
    page = files[1].read_text()
    [policy] = [str(a["content"]) for a in Outline(page).all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; media-src data:;")
    assert "<call>" not in page
    assert "http" not in re.sub("http-equiv|http://www.w3.org/2000/svg", "", page.split("data:audio")[0])


def test_the_data_of_the_page_is_the_timeline(files: list[Path], found: Timeline) -> None:
    """Windows, segments and emotions are handed over whole, and the outline with no peak lost."""
    [text] = re.findall('<script type="application/json" id="data">(.*?)</script>', files[1].read_text())
    content = json.loads(text)
    assert len(content["windows"]) == len(found.windows)
    assert content["emotions"] == list(found.emotions)
    assert max(content["outline"]) == pytest.approx(found.outline.max(), abs=1e-3)
    assert len(content["outline"]) * content["outline_seconds"] == pytest.approx(content["seconds"], abs=0.05)


def test_a_long_outline_is_thinned() -> None:
    """Two hours have no more points than a screen, and the one loud moment is among them."""
    blocks = [np.full(1600, 0.01, dtype=np.float32)] * 7200 + [np.full(1600, 0.5, dtype=np.float32)]
    found = timeline.predict_blocks(iter(blocks), FakeModel(), WindowSettings())
    content = timeline_page.data(found)
    assert len(content["outline"]) <= timeline_page.MOST_POINTS
    assert max(content["outline"]) == 0.5


def test_the_picture_has_the_colours_of_what_was_said(files: list[Path]) -> None:
    """The ribbons of a call that is sad and then angry show both."""
    from matplotlib.image import imread

    shown = {tuple(pixel) for pixel in (imread(files[0])[:, :, :3].reshape(-1, 3) * 255).round().astype(int).tolist()}
    for name in ("sad", "angry"):
        colour = plots.EMOTION_COLOURS[name]
        assert tuple(int(colour[n : n + 2], 16) for n in (1, 3, 5)) in shown


def test_a_room_without_speech_has_a_page(tmp_path: Path) -> None:
    """Nothing to draw is no error."""
    sound = encode(quiet(2.5))
    found = timeline.predict_timeline(sound, FakeModel(), WindowSettings())
    paths = timeline_page.save(found, tmp_path / "room", recording=sound, name="room", layout=WindowSettings())
    assert "No speech was found." in paths[1].read_text()


def test_emotions_beyond_the_eight_have_colours() -> None:
    """Names of a user's own get one each, and the same whatever else there is."""
    colours = plots.label_colours(["neutral", "bored", "amused"])
    assert len(set(colours.values())) == 3


def test_the_cursor_runs_along(files: list[Path], tmp_path: Path) -> None:
    """In a browser the position moves the sound and says the answer, and the console has no complaint."""
    with browsing(tmp_path) as tab:
        tab.open(files[1].as_uri())
        tab.wait("document.querySelector('audio').readyState > 0")
        for seconds, said in ((2.5, "0:02 sad, "), (7.5, "0:07 nobody speaks"), (12, "0:12 angry, ")):
            tab.run(
                f"p = document.querySelector('input[type=range]'); p.value = {seconds};"
                "p.dispatchEvent(new Event('input'))"
            )
            tab.wait(f"document.querySelector('.ribbons-now').innerText.replace(/\\s+/g, ' ').startsWith({said!r})")
            assert tab.run("document.querySelector('audio').currentTime") == pytest.approx(seconds, abs=0.1)
        assert tab.complaints() == []
