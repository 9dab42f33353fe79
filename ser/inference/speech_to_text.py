"""What is said, and answers aloud: optional, offline. The only door to SpeechRecognition, pocketsphinx and pyttsx3."""

import io
from pathlib import Path
from typing import Any

from ser.audio import effects
from ser.audio import io as audio_io
from ser.utils.errors import UserError

INSTALL = ".venv/bin/pip install -r requirements-voice.txt -c constraints.txt"
RATE = 16_000
"""Hz that the recogniser was made for."""


def transcribe(recording: Path | bytes) -> str:
    """Write down what is said in a recording, in English, as PocketSphinx hears it: expect mistakes.

    Raises
    ------
    InputError
        If the packages are not installed.
    AudioError
        If the recording cannot be decoded.
    """
    try:
        import speech_recognition
    except ImportError:
        raise UserError(f"--transcribe needs SpeechRecognition and pocketsphinx: {INSTALL}") from None
    recogniser = speech_recognition.Recognizer()
    with speech_recognition.AudioFile(io.BytesIO(_pcm(recording))) as source:
        heard = recogniser.record(source)
    try:
        return str(recogniser.recognize_sphinx(heard))
    except speech_recognition.UnknownValueError:
        return ""
    except speech_recognition.RequestError as error:  # also: the package pocketsphinx is missing
        raise UserError(f"--transcribe: {error}; {INSTALL}") from None


def _pcm(recording: Path | bytes) -> bytes:
    samples, rate = audio_io.decode(recording)
    return audio_io.to_flac(effects.resample(effects.to_mono(samples), rate=rate, to=RATE), rate=RATE)


def speak(text: str) -> None:
    """Say something aloud, by the voice that the system has (espeak-ng on Linux).

    Raises
    ------
    InputError
        If the package or a voice is not installed.
    """
    try:
        import pyttsx3

        engine: Any = pyttsx3.init()
        engine.say(text)
        engine.runAndWait()
    except ImportError:
        raise UserError(f"--speak needs pyttsx3: {INSTALL}") from None
    except (OSError, RuntimeError) as error:
        raise UserError(f"--speak found no voice ({error}); on Linux install espeak-ng.") from None
