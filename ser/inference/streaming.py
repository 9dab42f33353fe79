"""Read raw samples from a pipe or a microphone, in blocks for `ser.inference.sliding_window.SlidingWindowPredictor`.

The only door to sounddevice, which is optional.
"""

import json
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Protocol

import numpy as np

from ser.audio.effects import resampled_blocks
from ser.audio.io import SAMPLE_RATE_RANGE
from ser.audio.types import Waveform
from ser.inference.sliding_window import Model, SlidingWindowPredictor, WindowSettings
from ser.utils.errors import UserError

HEADER = 4
FILES = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "OGG", b"FORM": "AIFF"}
"""What files begin with, in so many bytes, and raw speech hardly ever."""
BYTES = 2
"""A sample's, as s16le has them."""
PIECE = 1 << 15
"""At most so many bytes are read at a time; a pipe gives what it has."""
PIECE_SECONDS = 0.05
"""What a microphone hands over at a time."""
WAITING = 600
"""Pieces of a microphone that may wait, 30 s: a computer that is slower than the sound must say so."""


class _Pipe(Protocol):
    def read1(self, size: int = ..., /) -> bytes: ...


def pcm(stream: BinaryIO | _Pipe, *, rate: int, to: int) -> Iterator[Waveform]:
    """Read raw samples, 16-bit signed little-endian mono, as they come.

    Parameters
    ----------
    stream
        What is read to its end. Half a sample there is left out.
    rate, to
        The rate that it has and the one wanted, in Hz.

    Yields
    ------
    (n_samples,) float32
        Full scale at 1.

    Raises
    ------
    InputError
        If the rate is none of speech, or what comes is a file with a header.
    """
    check_rate(rate)
    return resampled_blocks(_samples(stream), rate=rate, to=to)


def check_rate(rate: int) -> None:
    """Refuse a rate (Hz) that no recording of speech has."""
    low, high = SAMPLE_RATE_RANGE
    if not low <= rate <= high:
        raise UserError(f"--rate: found {rate}; expected {low} to {high} Hz, such as 16000.")


def _samples(stream: Any) -> Iterator[Waveform]:
    # read1 gives what is there; read would wait until a block is full.
    rest, begun = b"", False
    while piece := stream.read1(PIECE):
        held = rest + piece
        if not begun and len(held) >= HEADER:
            begun = True
            _refuse_files(held)
        whole = len(held) - len(held) % BYTES
        rest = held[whole:]
        if whole:
            yield (np.frombuffer(held[:whole], dtype="<i2") / np.float32(32768)).astype(np.float32)


def _refuse_files(begins: bytes) -> None:
    if kind := FILES.get(begins[:HEADER]):
        raise UserError(
            f"--stream: found a {kind} file; expected raw samples without a header. Use --file - for files."
        )


def microphone(*, to: int) -> Iterator[Waveform]:
    """Listen to the default microphone until interrupted, at a rate in Hz.

    Raises
    ------
    InputError
        If sounddevice or PortAudio is not installed, there is no microphone, or answers are slower than the sound.
    """
    sounddevice = _sounddevice()
    pieces: queue.Queue[Waveform] = queue.Queue(maxsize=WAITING)
    lost = threading.Event()

    def heard(piece: Any, frames: int, time: Any, status: Any) -> None:
        try:
            pieces.put_nowait(piece[:, 0].copy())
        except queue.Full:  # a callback must not wait; the reader says what is lost
            lost.set()

    try:
        size = round(to * PIECE_SECONDS)
        with sounddevice.InputStream(samplerate=to, channels=1, dtype="float32", blocksize=size, callback=heard):
            while True:
                yield pieces.get()
                _check_complete(lost)
    except sounddevice.PortAudioError as error:
        raise UserError(
            f"--mic: {error}. Expected a microphone that can be opened at {to} Hz; is one plugged in?"
        ) from None


def _check_complete(lost: threading.Event) -> None:
    if lost.is_set():
        seconds = WAITING * PIECE_SECONDS
        raise UserError(
            f"--mic: answers are {seconds:.0f} s behind the sound. Choose a larger --hop, or another --model."
        )


def lines(blocks: Iterable[Waveform], model: Model, layout: WindowSettings) -> Iterator[str]:
    """Judge a signal while it comes, a line of JSON a window, and one with ``"final": true`` when it ends.

    Parameters
    ----------
    blocks
        At the model's rate. Interrupting them (Ctrl-C) is an end as good as theirs.
    model, layout
        As `ser.inference.sliding_window.SlidingWindowPredictor` takes them.
    """
    watch = SlidingWindowPredictor(model, layout)
    with suppress(KeyboardInterrupt):
        for window in watch.windows(blocks):
            yield json.dumps(window.as_dict(), allow_nan=False)
    segments = [vars(segment) for segment in watch.segments]
    yield json.dumps({"final": True, **watch.summary().as_dict(), "segments": segments}, allow_nan=False)


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise UserError(
            "--mic: the package sounddevice is not installed; run "
            ".venv/bin/pip install -r requirements-mic.txt -c constraints.txt"
        ) from None
    except OSError:  # it looks for the library when it is imported
        raise UserError(
            "--mic: PortAudio is not installed; on Debian and Ubuntu: apt-get install libportaudio2"
        ) from None
    return sounddevice
