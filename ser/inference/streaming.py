"""Read raw samples from a pipe or a microphone, and predict them window by window.

Only this module imports sounddevice, which is optional.
"""

import json
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from ser.audio.effects import resampled_blocks
from ser.audio.io import SAMPLE_RATE_RANGE
from ser.audio.types import Waveform
from ser.inference.model import Model
from ser.inference.sliding_window import SlidingWindowPredictor, WindowSettings
from ser.utils.errors import UserError

MAGIC_BYTES = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "OGG", b"FORM": "AIFF"}
"""First four bytes of audio files, which are not raw samples."""
SAMPLE_WIDTH = 2
"""Bytes of a sample (s16le)."""
MAX_READ_BYTES = 1 << 15
MIC_BLOCK_SECONDS = 0.05
MAX_QUEUED_BLOCKS = 600
"""Blocks of a microphone (30 s) that may wait for prediction."""


def read_pcm(stream: Any, *, rate: int, to: int) -> Iterator[Waveform]:
    """Read raw samples, 16-bit signed little-endian mono, as they arrive.

    Parameters
    ----------
    stream : binary file object
        Read by its method ``read1`` to its end; an incomplete last sample is dropped.
    rate, to : int
        Sample rates of the stream and of the output in Hz.

    Yields
    ------
    ndarray of shape (n_samples,)
        float32, full scale at 1.

    Raises
    ------
    UserError
        If the sample rate is not supported, or the stream is an audio file.
    """
    low, high = SAMPLE_RATE_RANGE
    if not low <= rate <= high:
        raise UserError(f"--rate: found {rate}; expected {low} to {high} Hz, such as 16000.")
    return resampled_blocks(_read_samples(stream), rate=rate, to=to)


def _read_samples(stream: Any) -> Iterator[Waveform]:
    rest, checked = b"", False
    while received := stream.read1(MAX_READ_BYTES):  # read() would wait for a full block
        buffer = rest + received
        if not checked and len(buffer) >= 4:
            checked = True
            if kind := MAGIC_BYTES.get(buffer[:4]):
                raise UserError(f"--stream: found a {kind} file; expected raw samples. Use --file - for files.")
        n_complete = len(buffer) - len(buffer) % SAMPLE_WIDTH
        rest = buffer[n_complete:]
        if n_complete:
            yield (np.frombuffer(buffer[:n_complete], dtype="<i2") / np.float32(32768)).astype(np.float32)


def microphone(*, rate: int) -> Iterator[Waveform]:
    """Record from the default microphone until interrupted.

    Parameters
    ----------
    rate : int
        Sample rate in Hz.

    Yields
    ------
    ndarray of shape (n_samples,)

    Raises
    ------
    UserError
        If sounddevice or PortAudio is not installed, there is no microphone, or prediction is slower than real time.
    """
    sounddevice = _import_sounddevice()
    blocks: queue.Queue[Waveform] = queue.Queue(maxsize=MAX_QUEUED_BLOCKS)
    overflow = threading.Event()

    def callback(block: Any, frames: int, time: Any, status: Any) -> None:
        try:
            blocks.put_nowait(block[:, 0].copy())
        except queue.Full:  # a callback must not block
            overflow.set()

    try:
        size = round(rate * MIC_BLOCK_SECONDS)
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="float32", blocksize=size, callback=callback):
            while True:
                yield blocks.get()
                if overflow.is_set():
                    seconds = MAX_QUEUED_BLOCKS * MIC_BLOCK_SECONDS
                    raise UserError(
                        f"--mic: prediction is {seconds:.0f} s behind; use a larger --hop or another --model."
                    )
    except sounddevice.PortAudioError as error:
        raise UserError(f"--mic: {error}; connect a microphone that supports {rate} Hz.") from None


def json_lines(blocks: Iterable[Waveform], model: Model, settings: WindowSettings) -> Iterator[str]:
    """Predict a signal window by window: one line of JSON per window, and a last one with ``"final": true``.

    The blocks, at the model's sample rate, end with the iterable or with KeyboardInterrupt.
    """
    predictor = SlidingWindowPredictor(model, settings)
    with suppress(KeyboardInterrupt):
        for window in predictor.windows(blocks):
            yield json.dumps(asdict(window), allow_nan=False)
    segments = [asdict(segment) for segment in predictor.segments]
    yield json.dumps({"final": True, **asdict(predictor.summary()), "segments": segments}, allow_nan=False)


def _import_sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise UserError(
            "--mic needs sounddevice; run .venv/bin/pip install -r requirements-mic.txt -c constraints.txt."
        ) from None
    except OSError:  # PortAudio is loaded on import
        raise UserError("--mic needs PortAudio; on Debian and Ubuntu: apt-get install libportaudio2.") from None
    return sounddevice
