"""Transcribe recordings and speak predictions aloud, offline.

Only this module imports SpeechRecognition, pocketsphinx and pyttsx3, which are optional.
"""

import io
from pathlib import Path
from typing import Any

from ser.audio import effects
from ser.audio import io as audio_io
from ser.utils.errors import UserError

INSTALL = "run .venv/bin/pip install -r requirements-voice.txt -c constraints.txt"
RATE = 16_000
"""Sample rate of the recognizer in Hz."""


def transcribe(recording: Path | bytes) -> str:
    """Transcribe English speech with PocketSphinx; the result is empty if nothing is recognized.

    Raises
    ------
    UserError
        If the packages are not installed.
    AudioError
        If the recording cannot be decoded.
    """
    try:
        import speech_recognition
    except ImportError:
        raise UserError(f"--transcribe needs SpeechRecognition and pocketsphinx; {INSTALL}.") from None
    samples, rate = audio_io.decode(recording)
    audio = audio_io.to_flac(effects.resample(effects.mix(samples), rate=rate, to=RATE), rate=RATE)
    recognizer = speech_recognition.Recognizer()
    with speech_recognition.AudioFile(io.BytesIO(audio)) as source:
        speech = recognizer.record(source)
    try:
        return str(recognizer.recognize_sphinx(speech))
    except speech_recognition.UnknownValueError:
        return ""
    except speech_recognition.RequestError as error:  # also if pocketsphinx is not installed
        raise UserError(f"--transcribe: {error}; {INSTALL}.") from None


def speak(text: str) -> None:
    """Speak a text aloud with the system's speech synthesis (espeak-ng on Linux).

    Raises
    ------
    UserError
        If the package or the speech synthesis is not installed.
    """
    try:
        import pyttsx3

        engine: Any = pyttsx3.init()
        engine.say(text)
        engine.runAndWait()
    except ImportError:
        raise UserError(f"--speak needs pyttsx3; {INSTALL}.") from None
    except (OSError, RuntimeError) as error:
        raise UserError(f"--speak: no speech synthesis ({error}); on Linux install espeak-ng.") from None
