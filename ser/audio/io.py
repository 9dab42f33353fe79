"""Decode and encode recordings. Only this module imports soundfile."""

import io
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from ser.audio.effects import resampled_blocks, to_mono
from ser.audio.types import MultichannelWaveform, Waveform
from ser.utils.errors import UserError

FORMATS = ("WAV", "WAVEX", "RF64", "NIST", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64")
"""Accepted formats, by libsndfile's names. Others are identified by so few bytes that random data may match."""
BLOCK_SIZE = 1 << 20
"""Samples per channel decoded at a time."""
UNRECOGNIZED_FORMAT, NOT_A_FILE = 1, 7
"""Error codes of libsndfile."""
MAX_FRAMES = 1 << 40
"""Maximum length in samples; libsndfile reports 2**63 - 1 for an unknown length."""
UNKNOWN_LENGTH_BYTES = 0x7F000000
"""Minimum of the sizes that programs write into 32-bit headers when they write to a pipe."""
SAMPLE_RATE_RANGE = (4_000, 384_000)
"""Accepted sample rates in Hz, both included."""
MAX_CHANNELS = 32
MAX_HOURS = 2.0
"""Maximum duration; the header of a small file may declare centuries."""
MAX_ABS_SAMPLE = 2.0**31
"""Maximum of samples, for files with integers stored as floats; squares beyond 2**127 overflow."""
MIN_READ_FRACTION = 0.9
"""Minimum fraction of an MP3 of unknown length that must be decoded; tags at its end are smaller than the rest."""


class AudioError(UserError):
    """A recording is unusable; the message is the reason."""


class UnsupportedFormatError(AudioError):
    """libsndfile does not know the format."""


class NoSpeechError(AudioError):
    """A recording has too little content for a prediction; `flag` is ``silence`` or ``too_short``."""

    def __init__(self, message: str, *, flag: str) -> None:
        super().__init__(message)
        self.flag = flag


def decode(recording: Path | bytes) -> tuple[MultichannelWaveform, int]:
    """Decode a recording in any of `FORMATS`, identified by content and not by suffix.

    Parameters
    ----------
    recording : Path or bytes
        A file or its content.

    Returns
    -------
    samples : ndarray of shape (n_samples, n_channels), float32
    sample_rate : int
        In Hz, within `SAMPLE_RATE_RANGE`.

    Raises
    ------
    AudioError
        If it is not audio, truncated, empty, of an unaccepted length, rate or number of channels, or has invalid
        values.

    Notes
    -----
    Truncation is detected if the header declares a length: in WAV, RF64, W64, AIFF, AU, CAF (except for its last 12
    bytes), FLAC, and MP3 with a Xing or Info header. OGG, NIST, other MP3, files written to a pipe, and files with many
    chunks before the audio (more than libsndfile's log of 2 kB) are accepted as they are.
    """
    with open_recording(recording) as (file, stream):
        return np.concatenate(list(read_blocks(file, stream))), file.samplerate


@contextmanager
def open_recording(recording: Path | bytes) -> Iterator[tuple[Any, BinaryIO]]:
    """Open a recording as a SoundFile on a stream, and raise any error within the context as an AudioError."""
    magic = b""
    try:
        with _open_stream(recording) as stream:
            magic = stream.peek(4)[:4]
            with soundfile.SoundFile(stream) as file:
                _check_header(file)
                yield file, stream
    except soundfile.LibsndfileError as error:
        raise _audio_error(error, magic=magic) from None
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror or error}") from None


def _audio_error(error: Any, *, magic: bytes) -> AudioError:
    # libsndfile does not take a file that ends within its first frame for a file.
    reason = "Format not recognised" if error.code == NOT_A_FILE else str(error.error_string).strip().rstrip(".")
    if magic == b"fLaC":  # libsndfile only reports that the decoder lost sync
        detail = reason.removeprefix("Error : ")
        return AudioError(f"not decodable as audio: the FLAC file is truncated or damaged ({detail}); copy it again")
    error_class = UnsupportedFormatError if error.code in (UNRECOGNIZED_FORMAT, NOT_A_FILE) else AudioError
    return error_class(f"not decodable as audio: {reason}")


class _LenientStream(io.BufferedReader):
    """A stream without exceptions, which libsndfile would print and ignore. It checks positions and sizes itself."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Keep the position if the target, read from a damaged header, does not exist."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()

    def readinto(self, buffer: Any) -> int:
        """Read nothing if the disk fails."""
        try:
            return super().readinto(buffer)
        except OSError:
            return 0


def _open_stream(recording: Path | bytes) -> _LenientStream:
    # Opening a pipe would block, and reading a device may never end.
    if isinstance(recording, Path) and not stat.S_ISREG(recording.stat().st_mode):
        raise AudioError("is a folder, a pipe or a device; expected a file")
    stream = _LenientStream(recording.open("rb", buffering=0) if isinstance(recording, Path) else io.BytesIO(recording))
    if not stream.peek(1):
        stream.close()
        raise AudioError("the file is empty (0 bytes)")
    return stream


def _check_header(file: Any) -> None:
    if file.format not in FORMATS:
        raise AudioError(f"the format {file.format} is not supported; convert it to WAV or FLAC")
    _check_declared_size(file)
    _check_layout(rate=file.samplerate, channels=file.channels)
    if file.frames > MAX_FRAMES:
        raise AudioError("the header declares no length; encode it again by a program that does")
    if file.frames < 1:
        raise AudioError("contains no samples")
    hours = file.frames / file.samplerate / 3600
    if hours > MAX_HOURS:
        raise AudioError(f"too long: the header declares {hours:.1f} hours, expected at most {MAX_HOURS:g}; split it")


def _check_layout(*, rate: int, channels: int) -> None:
    low, high = SAMPLE_RATE_RANGE
    if not low <= rate <= high:
        raise AudioError(f"the sample rate is {rate} Hz; expected {low} to {high}")
    if channels > MAX_CHANNELS:
        raise AudioError(f"the number of channels is {channels}; expected at most {MAX_CHANNELS}")


def _check_declared_size(file: Any) -> None:
    """Reject a file shorter than its header declares, which libsndfile only logs."""
    # As logged for WAV and CAF, AIFF, AU, W64 and RF64, in this order.
    sizes = r"^ *(?:data|SSND|Data Size|riff|Riff size) *: *(\d+) *\(should be (\d+)\)"
    match = re.search(sizes, file.extra_info, re.MULTILINE)
    if not match:
        return
    declared, actual = int(match[1]), int(match[2])
    if declared > actual and (declared < UNKNOWN_LENGTH_BYTES or file.format in ("CAF", "W64", "RF64")):
        raise AudioError(f"truncated: the header declares {declared} bytes, the file has {actual}")


def read_blocks(file: Any, stream: BinaryIO) -> Iterator[MultichannelWaveform]:
    """Decode an open recording in blocks of shape (n_samples, n_channels), in constant memory.

    Raises
    ------
    AudioError
        If it is truncated or has invalid values.
    """
    n_samples = 0
    while len(block := file.read(BLOCK_SIZE, dtype="float32", always_2d=True)):
        _check_values(block)
        n_samples += len(block)
        yield block
    _check_complete(file, stream, n_samples)


def _check_values(block: MultichannelWaveform) -> None:
    peak = np.abs(block).max()
    if not np.isfinite(peak):
        raise AudioError("contains values that are not numbers (NaN or infinity)")
    if peak > MAX_ABS_SAMPLE:
        raise AudioError(f"contains values up to {peak:.1e}; expected at most 1, which is full scale")


def _check_complete(file: Any, stream: BinaryIO, n_samples: int) -> None:
    n_bytes = stream.tell()
    if file.format == "MP3" and not _has_length_header(stream):
        # The number of samples is an estimate from the bit rate of the first frame.
        size = stream.seek(0, io.SEEK_END)
        if n_bytes < MIN_READ_FRACTION * size:
            raise AudioError(f"an MP3 of unknown length: read {n_bytes} of {size} bytes; encode it again")
    elif n_samples < file.frames:
        raise AudioError(f"truncated: the header declares {file.frames} samples, the file has {n_samples}")
    if n_samples == 0:
        raise AudioError("contains no samples")


def _has_length_header(stream: BinaryIO) -> bool:
    """Search the first frame of an MP3, after an optional ID3v2 tag, for a Xing or Info header."""
    stream.seek(0)
    tag = stream.read(10)
    if tag.startswith(b"ID3"):
        stream.seek(sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True)) + 10)
    else:
        stream.seek(0)
    frame = stream.read(64)
    return b"Xing" in frame or b"Info" in frame


def stream_blocks(recording: Path | bytes, *, rate: int) -> Iterator[Waveform]:
    """Decode a recording in mono blocks of shape (n_samples,) at a sample rate in Hz, in constant memory.

    Raises
    ------
    AudioError
        As `decode`; errors late in the recording are raised after the blocks before them.
    """
    with open_recording(recording) as (file, stream):
        blocks = (to_mono(block) for block in read_blocks(file, stream))
        yield from resampled_blocks(blocks, rate=file.samplerate, to=rate)


def get_duration(recording: Path | bytes) -> float:
    """Read the duration in seconds from the header.

    Raises
    ------
    AudioError
        If it is not audio.
    """
    with open_recording(recording) as (file, _):
        return float(file.frames / file.samplerate)


def get_samplerate(file: Path) -> int | None:
    """Read the sample rate in Hz from the header; None if it is not audio."""
    try:
        with open_recording(file) as (opened, _):
            return int(opened.samplerate)
    except AudioError:
        return None


def from_array(samples: npt.ArrayLike, *, rate: int) -> Waveform:
    """Convert decoded samples to a mono float32 signal.

    Parameters
    ----------
    samples : array-like of shape (n_samples,) or (n_samples, n_channels)
        Floats with full scale at 1, or integer PCM with full scale at the range of its type.
    rate : int
        Sample rate in Hz.

    Returns
    -------
    ndarray of shape (n_samples,), float32

    Raises
    ------
    AudioError
        If shape, type, values, rate or number of channels are not as expected.
    """
    values = np.asarray(samples)
    kind, shape = values.dtype.kind, values.shape
    if len(shape) not in (1, 2) or kind not in "iuf" or not values.size:
        raise AudioError(f"samples: found {values.dtype} of shape {shape}; expected numbers, (n,) or (n, channels)")
    _check_layout(rate=rate, channels=1 if len(shape) == 1 else shape[1])
    if kind == "f":
        scaled = np.asarray(values, dtype=np.float32)
    else:
        half = 2.0 ** (8 * values.dtype.itemsize - 1)
        scaled = ((values - (half if kind == "u" else 0)) / half).astype(np.float32)
    _check_values(scaled)
    return to_mono(scaled.reshape(len(scaled), -1))


def read_chunks(
    recording: Path | bytes, *, max_duration: float, chunk_duration: float
) -> Iterator[tuple[Waveform, int]]:
    """Decode a recording in the chunks of `split_into_chunks`, each with its sample rate in Hz, in constant memory.

    Raises
    ------
    AudioError
        As `decode`; errors late in the recording are raised after the chunks before them.
    """
    with open_recording(recording) as (file, stream):
        blocks = (to_mono(block) for block in read_blocks(file, stream))
        chunking = {"max_duration": max_duration, "chunk_duration": chunk_duration}
        for chunk in split_into_chunks(blocks, rate=file.samplerate, **chunking):
            yield chunk, file.samplerate


def split_into_chunks(
    blocks: Iterable[Waveform], *, rate: int, max_duration: float, chunk_duration: float
) -> Iterator[Waveform]:
    """Split a long signal into chunks.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (n_samples,), float32
        Consecutive blocks of the signal.
    rate : int
        Sample rate in Hz.
    max_duration : float
        Duration in seconds up to which the signal is not split.
    chunk_duration : float
        Duration of a chunk in seconds; the last has half as much to one and a half times as much.

    Yields
    ------
    ndarray of shape (n_samples,), float32
    """
    pending, split = np.empty(0, dtype=np.float32), False
    size = round(chunk_duration * rate)
    for block in blocks:
        pending = np.concatenate([pending, block])
        split = split or len(pending) > max_duration * rate
        while split and len(pending) >= 1.5 * size:
            yield pending[:size]
            pending = pending[size:]
    yield pending


def to_flac(signal: Waveform, *, rate: int) -> bytes:
    """Encode a signal of shape (n_samples,) as 16-bit FLAC, clipped at full scale."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(signal, -1, 1), rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def from_flac(content: bytes) -> Waveform:
    """Decode the output of `to_flac`: float32 of shape (n_samples,)."""
    return soundfile.read(io.BytesIO(content), dtype="float32")[0]


def to_mp3(recording: Path | bytes) -> bytes:
    """Encode a recording as mono MP3 for browsers, about 10 MB per hour.

    Raises
    ------
    AudioError
        As `decode`.
    """
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 16000, 1, "MPEG_LAYER_III", format="MP3") as file:
        for block in stream_blocks(recording, rate=16000):
            file.write(np.clip(block, -1, 1))
    return buffer.getvalue()


def mu_law_codec(signal: Waveform, *, rate: int) -> Waveform:
    """Encode and decode a signal of shape (n_samples,) by 8-bit mu-law (ITU-T G.711), clipped at full scale."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(signal, -1, 1), rate, format="WAV", subtype="ULAW")
    return soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")[0]
