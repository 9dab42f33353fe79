"""Samples from a pipe or a microphone have the predictions of the same samples in a file."""

import io
import json
import sys
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


@pytest.mark.parametrize(("rate", "size"), [(16000, 4096), (16000, 3), (44100, 1001), (8000, 7777)])
def test_a_stream_has_the_windows_of_the_file(rate: int, size: int) -> None:
    """Windows are equal to 1e-6 for reads of any size and at any sample rate."""
    signal = call()[: 4 * RATE]
    content = io.BytesIO()
    soundfile.write(content, np.frombuffer(s16le(signal), dtype="<i2"), rate, format="WAV")
    expected = timeline.predict_timeline(content.getvalue(), FakeModel(), WindowSettings())
    predictor = SlidingWindowPredictor(FakeModel(), WindowSettings())
    stream = io.BytesIO(s16le(signal))
    pipe = SimpleNamespace(read1=lambda _: stream.read(size))
    windows = list(predictor.windows(streaming.read_pcm(pipe, rate=rate, to=RATE)))
    for window, other in zip(windows, expected.windows, strict=True):
        assert (window.start, window.end, window.label) == (other.start, other.end, other.label)
        assert window.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert predictor.summary() == expected.summary
    assert tuple(predictor.segments) == expected.segments


def test_incomplete_last_samples_are_dropped() -> None:
    """A stream may end within a sample."""
    [block] = streaming.read_pcm(io.BytesIO(b"\x00\x40\x00\x80\x01"), rate=RATE, to=RATE)
    np.testing.assert_array_equal(block, np.array([0.5, -1], dtype=np.float32))


def test_audio_files_are_rejected() -> None:
    """Headers and compressed bytes are not read as samples."""
    with pytest.raises(UserError, match="found a FLAC file"):
        list(streaming.read_pcm(io.BytesIO(b"fLaC" + bytes(1000)), rate=RATE, to=RATE))


def test_predictions_are_available_immediately() -> None:
    """The first window is predicted before the pipe is read again, which would block."""
    reads = iter([s16le(spoken(300, seconds=1))])
    blocks = streaming.read_pcm(SimpleNamespace(read1=lambda _: next(reads)), rate=RATE, to=RATE)
    assert next(SlidingWindowPredictor(FakeModel(), WindowSettings()).windows(blocks)).label == "sad"


def test_interrupted_streams_have_a_summary() -> None:
    """Ctrl-C ends the stream with the final line."""

    def interrupted() -> Iterator[np.ndarray]:
        yield spoken(900, seconds=2)
        raise KeyboardInterrupt

    last = json.loads(list(streaming.json_lines(interrupted(), FakeModel(), WindowSettings()))[-1])
    assert (last["final"], last["label"]) == (True, "angry")


class Microphone:
    """A fake of sounddevice."""

    PortAudioError = RuntimeError

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
            block = self.signal[start : start + size, None]
            self.settings["callback"](block, len(block), SimpleNamespace(), None)

    def __exit__(self, *_: object) -> None: ...


def test_a_microphone_yields_its_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is opened in mono at the sample rate."""
    signal = spoken(300, seconds=2)
    monkeypatch.setitem(sys.modules, "sounddevice", device := Microphone(signal))
    blocks = streaming.microphone(rate=RATE)
    np.testing.assert_array_equal(np.concatenate([next(blocks) for _ in range(40)]), signal)
    assert (device.settings["samplerate"], device.settings["channels"]) == (RATE, 1)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (Microphone(spoken(300, seconds=40)), "30 s behind"),
        (Microphone(np.empty(0), error="Invalid device"), "Invalid device; connect a microphone"),
        (None, r"pip install -r requirements-mic\.txt"),
    ],
)
def test_microphone_errors_are_explained(monkeypatch: pytest.MonkeyPatch, device: Any, message: str) -> None:
    """Lost samples, a missing microphone and a missing package are errors that tell what to do."""
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    blocks = streaming.microphone(rate=RATE)
    with pytest.raises(UserError, match=message):
        [next(blocks) for _ in range(2)]


def test_a_missing_portaudio_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Importing sounddevice raises an OSError without PortAudio."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(UserError, match="apt-get install libportaudio2"):
        next(streaming.microphone(rate=RATE))
