"""Transcription passes the recording on to the recognizer, and missing packages are explained."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ser.audio import io as audio_io
from ser.inference import speech_to_text
from ser.utils.errors import UserError
from tests.helpers import signals


def test_missing_packages_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the requirements file."""
    for package in ("speech_recognition", "pyttsx3"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"requirements-voice\.txt"):
        speech_to_text.transcribe(signals.encode(signals.sine(200)))
    with pytest.raises(UserError, match=r"requirements-voice\.txt"):
        speech_to_text.speak("sad")


def test_the_recognizer_gets_audio_at_16_khz(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording at 8 kHz is resampled, and the transcript is the recognizer's."""
    decoded: list[Any] = []

    class AudioFile:
        def __init__(self, stream: Any) -> None:
            decoded.append(audio_io.decode(stream.read()))

        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> None: ...

    recognizer = SimpleNamespace(record=lambda source: "speech", recognize_sphinx=lambda speech: f"hello {speech}")
    package = SimpleNamespace(
        Recognizer=lambda: recognizer, AudioFile=AudioFile, UnknownValueError=OSError, RequestError=OSError
    )
    monkeypatch.setitem(sys.modules, "speech_recognition", package)
    assert speech_to_text.transcribe(signals.encode(signals.sine(200, rate=8000), rate=8000)) == "hello speech"
    [(samples, rate)] = decoded
    assert (samples.shape, rate) == ((16000, 1), 16000)
