"""In a browser, the page shows predictions for files that are chosen or dropped, and for a recorded voice."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ser.serving.app import Limits, create_app
from ser.serving.page import page
from tests.helpers.browser import Tab, browsing
from tests.helpers.fake_model import FakeModel, call, spoken
from tests.helpers.http_service import served
from tests.helpers.signals import encode, silence

ANGRY = encode(spoken(900, seconds=2))
FAKE_DEVICE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tab, str]]:
    folder = tmp_path_factory.mktemp("browser")
    voice = folder / "voice.wav"
    voice.write_bytes(encode(spoken(100, seconds=20)))
    app = create_app(FakeModel(), limits=Limits(megabytes=1))
    with served(app) as service, browsing(folder, *FAKE_DEVICE, f"--use-file-for-fake-audio-capture={voice}") as tab:
        yield tab, service.url


@pytest.fixture
def tab(browser: tuple[Tab, str]) -> Tab:
    """Reload the page."""
    tab, url = browser
    tab.events.clear()
    tab.show()
    tab.open(url)
    return tab


def choose(tab: Tab, folder: Path, content: bytes, *, name: str = "a.wav") -> None:
    (folder / name).write_bytes(content)
    tab.choose("#file", folder / name)


def headline(tab: Tab) -> str:
    """Wait for the prediction or an error, and read the headline."""
    tab.wait("!document.getElementById('result').hidden || !document.getElementById('problem').hidden")
    return str(tab.run("document.getElementById('prediction').innerText"))


def test_chosen_file_is_predicted(tab: Tab, tmp_path: Path) -> None:
    """The result has the label, a bar for each emotion and a player, and gets the focus."""
    choose(tab, tmp_path, ANGRY)
    assert headline(tab).startswith("Angry, 8")
    bars = tab.run(
        "[...document.querySelectorAll('#bars li')].map((row) => row.innerText.replace(/\\s+/g, ' ').trim())"
    )
    assert [bar.split()[0] for bar in bars] == ["neutral", "sad", "angry"]
    assert sum(int(bar.split()[1]) for bar in bars) == pytest.approx(100, abs=1)
    assert "a.wav, 2.0 seconds" in tab.run("document.getElementById('remark').innerText")
    tab.wait("document.getElementById('audio').duration > 1.9")
    assert tab.run("document.activeElement.id") == "prediction"
    assert tab.run("document.getElementById('over-time').hidden")
    assert tab.console_errors() == []


def test_dropped_file_is_predicted(tab: Tab) -> None:
    """A file can be dropped anywhere on the page."""
    tab.run(
        "(() => { const data = new DataTransfer(), letters = atob('" + b64encode(ANGRY).decode() + "');"
        "data.items.add(new File([Uint8Array.from(letters, (letter) => letter.charCodeAt(0))], 'dropped.wav'));"
        "const options = {dataTransfer: data, bubbles: true, cancelable: true};"
        "document.body.dispatchEvent(new DragEvent('drop', options)); })()"
    )
    assert headline(tab).startswith("Angry")


def test_longer_recording_has_a_timeline(tab: Tab, tmp_path: Path) -> None:
    """The cursor of the timeline can be moved, and all controls have accessible names."""
    choose(tab, tmp_path, encode(call()))
    tab.wait("!document.getElementById('over-time').hidden")
    assert tab.run("document.querySelectorAll('#emotion-timeline svg').length") == 4
    tab.run("p = document.querySelector('#emotion-timeline input'); p.value = 12; p.dispatchEvent(new Event('input'))")
    tab.wait("document.querySelector('.emotion-timeline-now').innerText.includes('0:12')")
    assert "angry" in tab.run("document.querySelector('#emotion-timeline input').getAttribute('aria-valuetext')")
    assert tab.console_errors() == []
    nodes = tab.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "link", "slider", "textbox"}
    named = [(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node["ignored"]]
    assert [role for role, name in named if role in roles and not name] == []
    assert {name for role, name in named if role == "slider"} >= {"Position in the recording"}


def test_voice_is_recorded_with_the_keyboard(tab: Tab) -> None:
    """Tab reaches the button, and Enter starts and stops; the status changes, and the recording is predicted."""
    tab.press("Tab", 9)
    assert tab.run("document.activeElement.id") == "record"
    tab.press("Enter", 13, "\r")
    tab.wait("document.getElementById('record').innerText.trim() === 'Stop'")
    tab.wait("document.getElementById('status').innerText")
    tab.wait("parseFloat(document.getElementById('record-hint').innerText) > 1.5")
    tab.press("Enter", 13, "\r")
    assert headline(tab).startswith("Sad")
    assert "Your voice" in tab.run("document.getElementById('remark').innerText")
    assert tab.run("document.getElementById('record').innerText.trim()") == "Record"
    assert tab.console_errors() == []


def test_silence_has_no_prediction(tab: Tab, tmp_path: Path) -> None:
    """The headline names the reason, and the flag is explained."""
    choose(tab, tmp_path, encode(silence(1)))
    assert headline(tab) == "No speech detected"
    assert "silent" in tab.run("document.getElementById('remark').innerText")


@pytest.mark.parametrize(("content", "named"), [(b"no audio", "not decodable"), (bytes(2_000_000), "2 MB")])
def test_errors_are_shown(tab: Tab, tmp_path: Path, content: bytes, named: str) -> None:
    """An alert shows the detail of the problem, and there is no result."""
    choose(tab, tmp_path, content)
    tab.wait("!document.getElementById('problem').hidden")
    assert named in tab.run("document.getElementById('problem').innerText")
    assert tab.run("document.getElementById('result').hidden")


def test_browser_decodes_formats_that_the_server_does_not(tab: Tab, tmp_path: Path) -> None:
    """A WebM file is decoded by the browser and sent as WAV."""
    recorded = tab.run(
        """(async () => {
        const context = new AudioContext();
        const to = context.createMediaStreamDestination(), from = context.createOscillator();
        from.frequency.value = 900; from.connect(to); from.start();
        const recorder = new MediaRecorder(to.stream), chunks = [];
        recorder.ondataavailable = (event) => chunks.push(event.data);
        const done = new Promise((stopped) => { recorder.onstop = stopped; });
        recorder.start(); await new Promise((wait) => setTimeout(wait, 1000)); recorder.stop(); await done;
        return [...new Uint8Array(await new Blob(chunks).arrayBuffer())];
        })()"""
    )
    choose(tab, tmp_path, bytes(recorded), name="a.webm")
    assert headline(tab).startswith("Angry")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, True)])
def test_page_fits_the_screen(tab: Tab, tmp_path: Path, width: int, dark: bool) -> None:
    """On phones and desktops, nothing is wider than the screen, and the text has contrast."""
    tab.show(width=width, dark=dark)
    choose(tab, tmp_path, encode(call()))
    tab.wait("!document.getElementById('over-time').hidden")
    assert tab.run("document.documentElement.scrollWidth") <= width
    ink, paper = (
        tab.run(f"getComputedStyle(document.body).{name}.match(/\\d+/g).slice(0, 3).map(Number)")
        for name in ("color", "backgroundColor")
    )
    assert abs(np.mean(ink) - np.mean(paper)) > 180
    assert (np.mean(paper) < 60) == dark


@pytest.mark.parametrize(("speakers", "name"), [(2, "range over 2 test speakers"), (6, "95 % CI over 6 test speakers")])
def test_intervals_are_named_as_in_the_reports(speakers: int, name: str) -> None:
    """The limits of a score with few test speakers are a range, not a confidence interval."""
    scores = {"uar": 0.667, "uar_ci_low": 0.542, "uar_ci_high": 0.792, "speakers": speakers, "protocol": "demo"}
    card = {"origin": {"corpora": ["demo"], "scores": scores}}
    html, _ = page(card, emotions=["happy", "sad"], limits={"megabytes": 1, "minutes": 5})
    assert f"0.67 (0.54 to 0.79, {name})" in html
