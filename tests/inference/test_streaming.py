"""Sound from a pipe or a microphone gives the answers of the same sound in a file."""

import io
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from ser.inference import streaming, timeline
from ser.inference.sliding_window import SlidingWindowPredictor, WindowSettings
from ser.utils.errors import UserError
from tests.helpers.fake_model import RATE, FakeModel, call, spoken


def s16le(signal: np.ndarray) -> bytes:
    return (signal * 32767).round().astype("<i2").tobytes()


class Pieces:
    """A pipe that gives so many bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        self.stream, self.size = io.BytesIO(content), size

    def read1(self, size: int = -1) -> bytes:
        return self.stream.read(self.size)


@pytest.mark.parametrize(("rate", "size"), [(16000, 4096), (16000, 3), (44100, 1001), (8000, 7777)])
def test_a_stream_has_the_windows_of_the_file(rate: int, size: int) -> None:
    """Whatever the pipe's pieces, half samples included, and the rate: every window is the batch's, to 1e-6."""
    signal = call()[: 4 * RATE]
    content = io.BytesIO()
    soundfile.write(content, np.frombuffer(s16le(signal), dtype="<i2"), rate, format="WAV")
    batch = timeline.predict_timeline(content.getvalue(), FakeModel(), WindowSettings())
    watch = SlidingWindowPredictor(FakeModel(), WindowSettings())
    windows = list(watch.windows(streaming.pcm(Pieces(s16le(signal), size), rate=rate, to=RATE)))
    assert [(w.start, w.end, w.label) for w in windows] == [(w.start, w.end, w.label) for w in batch.windows]
    for window, other in zip(windows, batch.windows, strict=True):
        assert window.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert watch.summary() == batch.summary
    assert tuple(watch.segments) == batch.segments


def test_half_a_sample_at_the_end_is_left_out() -> None:
    """A pipe may be cut anywhere."""
    [block] = streaming.pcm(io.BytesIO(b"\x00\x40\x00\x80\x01"), rate=RATE, to=RATE)
    np.testing.assert_array_equal(block, np.array([0.5, -1], dtype=np.float32))


@pytest.mark.parametrize("rate", [0, -1, 3999, 10**9])
def test_rates_that_nothing_has_are_refused(rate: int) -> None:
    """The message names the option."""
    with pytest.raises(UserError, match=f"--rate: found {rate}; expected 4000 to 384000 Hz"):
        streaming.pcm(io.BytesIO(), rate=rate, to=RATE)


@pytest.mark.parametrize(("begins", "kind"), [(b"RIFF", "WAV"), (b"fLaC", "FLAC")])
def test_files_are_no_raw_samples(begins: bytes, kind: str) -> None:
    """Their headers and compressed bytes would be judged as sound."""
    with pytest.raises(UserError, match=f"--stream: found a {kind} file; .* Use --file -"):
        list(streaming.pcm(io.BytesIO(begins + bytes(1000)), rate=RATE, to=RATE))


def test_an_answer_comes_when_its_sound_is_there() -> None:
    """The first answer is there while the pipe is still open and silent, and at best of five within 0.1 s."""
    assert min(seconds_to_the_first_answer() for _ in range(5)) < 0.1


def seconds_to_the_first_answer() -> float:
    reading, writing = os.pipe()
    answered: list[float] = []

    def listen() -> None:
        with os.fdopen(reading, "rb") as pipe:
            for _ in SlidingWindowPredictor(FakeModel(), WindowSettings()).windows(
                streaming.pcm(pipe, rate=RATE, to=RATE)
            ):
                answered.append(time.monotonic())

    thread = threading.Thread(target=listen)
    thread.start()
    os.write(writing, s16le(spoken(300, seconds=1)))
    sent = time.monotonic()
    while not answered and time.monotonic() - sent < 30:
        time.sleep(0.005)
    came = list(answered)
    os.close(writing)
    thread.join()
    assert len(came) == len(answered) == 1
    return came[0] - sent


def test_lines_are_the_windows_and_what_they_came_to() -> None:
    """Each line is JSON by itself, as the timeline has it; the last says that it is the last."""
    batch = timeline.predict_blocks([call()], FakeModel(), WindowSettings())
    found = [json.loads(line) for line in streaming.lines([call()], FakeModel(), WindowSettings())]
    assert found[:-1] == batch.as_dict()["windows"]
    assert found[-1] == {"final": True} | {k: v for k, v in batch.as_dict().items() if k != "windows"}


def test_an_interrupted_stream_ends_with_its_last_line() -> None:
    """Ctrl-C says what it all came to."""

    def interrupted() -> Iterator[np.ndarray]:
        yield spoken(900, seconds=2)
        raise KeyboardInterrupt

    *_, last = streaming.lines(interrupted(), FakeModel(), WindowSettings())
    assert json.loads(last)["final"]
    assert json.loads(last)["label"] == "angry"


class Microphone:
    """What sounddevice does, as far as it is used."""

    PortAudioError = type("PortAudioError", (Exception,), {})

    def __init__(self, signal: np.ndarray, *, error: str = "") -> None:
        self.signal, self.error = signal, error

    def InputStream(self, **settings: Any) -> "Microphone":
        if self.error:
            raise self.PortAudioError(self.error)
        self.settings = settings
        return self

    def __enter__(self) -> None:
        size = self.settings["blocksize"]
        for start in range(0, len(self.signal), size):
            piece = self.signal[start : start + size, None]
            self.settings["callback"](piece, len(piece), SimpleNamespace(), None)

    def __exit__(self, *_: object) -> None:
        """Close nothing."""


def test_a_microphone_is_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it hears is handed on sample by sample, at the rate that was asked for."""
    signal = spoken(300, seconds=2)
    monkeypatch.setitem(sys.modules, "sounddevice", device := Microphone(signal))
    blocks = streaming.microphone(to=RATE)
    heard = np.concatenate([next(blocks) for _ in range(40)])
    np.testing.assert_array_equal(heard, signal)
    assert (device.settings["samplerate"], device.settings["channels"]) == (RATE, 1)


def test_a_computer_that_is_too_slow_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound is not lost without a word."""
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(spoken(300, seconds=40)))
    blocks = streaming.microphone(to=RATE)
    with pytest.raises(UserError, match="behind the sound"):
        [next(blocks) for _ in range(2)]


def test_what_a_microphone_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, the library or a microphone, the message says what to do."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-mic\.txt"):
        next(streaming.microphone(to=RATE))
    monkeypatch.setitem(sys.modules, "sounddevice", Microphone(np.empty(0), error="Invalid device"))
    with pytest.raises(UserError, match=r"Invalid device\. Expected a microphone"):
        next(streaming.microphone(to=RATE))


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sounddevice looks for PortAudio when it is imported, and does not find it."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(UserError, match="apt-get install libportaudio2"):
        next(streaming.microphone(to=RATE))
