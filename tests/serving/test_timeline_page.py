"""The page of a timeline is a self-contained file with a player; the figure shows the emotions over time."""

import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest

from ser.audio import io as audio_io
from ser.inference import timeline
from ser.inference.sliding_window import WindowSettings
from ser.serving import timeline_page
from tests.helpers.browser import browsing
from tests.helpers.fake_model import FakeModel, call, quiet
from tests.helpers.signals import encode
from tests.reporting.test_html_page import Page

RECORDING = encode(call())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    result = timeline.predict_timeline(RECORDING, FakeModel(), WindowSettings())
    stem = tmp_path_factory.mktemp("page") / "call"
    return timeline_page.save(result, stem, recording=RECORDING, name="<call>.wav", settings=WindowSettings())


def test_page_is_self_contained(files: list[Path]) -> None:
    """The recording is embedded as MP3, the policy allows no other source, and the file name is escaped."""
    page = files[1].read_text()
    [player] = Page(page).all("audio")
    samples, rate = audio_io.decode(b64decode(player["src"].removeprefix("data:audio/mpeg;base64,")))
    assert (len(samples), rate) == (pytest.approx(len(call()), abs=3000), 16000)
    [policy] = [str(a["content"]) for a in Page(page).all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; media-src data:;")
    assert "<call>" not in page
    assert "http" not in re.sub("http-equiv|http://www.w3.org/2000/svg", "", page.split("data:audio")[0])


def test_long_outlines_are_thinned() -> None:
    """An outline has at most `MAX_POINTS` points and keeps peaks."""
    blocks = [np.full(1600, 0.01, dtype=np.float32)] * 7200 + [np.full(1600, 0.5, dtype=np.float32)]
    data = timeline_page.data(timeline.predict_blocks(blocks, FakeModel(), WindowSettings()))
    assert len(data["outline"]) <= timeline_page.MAX_POINTS
    assert len(data["outline"]) * data["outline_seconds"] == pytest.approx(data["seconds"], abs=0.2)
    assert max(data["outline"]) == 0.5


def test_recordings_without_speech_have_a_page(tmp_path: Path) -> None:
    """The headline states that there is no speech."""
    recording = encode(quiet(2.5))
    result = timeline.predict_timeline(recording, FakeModel(), WindowSettings())
    paths = timeline_page.save(result, tmp_path / "room", recording=recording, name="room", settings=WindowSettings())
    assert "No speech detected." in paths[1].read_text()


def test_slider_moves_the_player(files: list[Path], tmp_path: Path) -> None:
    """In a browser the slider sets the position of the player and shows the prediction."""
    with browsing(tmp_path) as tab:
        tab.open(files[1].as_uri())
        tab.wait("document.querySelector('audio').readyState > 0")
        for seconds, text in ((2.5, "0:02 sad, "), (7.5, "0:07 no speech"), (12, "0:12 angry, ")):
            tab.run(
                f"p = document.querySelector('input[type=range]'); p.value = {seconds};"
                "p.dispatchEvent(new Event('input'))"
            )
            tab.wait(
                f"document.querySelector('.emotion-timeline-now').innerText.replace(/\\s+/g, ' ').startsWith({text!r})"
            )
            assert tab.run("document.querySelector('audio').currentTime") == pytest.approx(seconds, abs=0.1)
        assert tab.console_errors() == []
