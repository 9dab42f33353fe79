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
"""What recordings come in, by libsndfile's names. It knows others, by marks so short that noise may have them."""
BLOCK_SIZE = 1 << 20
"""Samples (of each channel) decoded at a time."""
UNKNOWN, NO_FILE = 1, 7
"""libsndfile's numbers for "format not recognised" and "not a regular file"."""
MAX_FRAMES = 1 << 40
"""No recording is longer; libsndfile says 2**63 - 1 for "unknown"."""
UNKNOWN_LENGTH_BYTES = 0x7F000000
"""Programs that write to a pipe announce this many bytes or more, in the 32 bits that they have."""
SAMPLE_RATE_RANGE = (4_000, 384_000)
"""The sample rates (Hz) of recordings that are taken, both included."""
MAX_CHANNELS = 32
MAX_HOURS = 2.0
"""A longer recording is no utterance, and a small file may announce centuries."""
MAX_ABS_SAMPLE = 2.0**31
"""No sample is larger, even where a file holds whole numbers as floats; squares beyond 2**127 are infinite."""
MIN_READ_FRACTION = 0.9
"""Tags at the end of an MP3 are no larger a part of it."""


class AudioError(UserError):
    """A recording cannot be used; the message is the reason."""


class UnsupportedFormatError(AudioError):
    """libsndfile does not know the format; something else may."""


class NoSpeechError(AudioError):
    """There is too little in a recording to answer by; `flag` says so in a word: ``silence`` or ``too_short``."""

    def __init__(self, message: str, *, flag: str) -> None:
        super().__init__(message)
        self.flag = flag


def decode(recording: Path | bytes) -> tuple[MultichannelWaveform, int]:
    """Decode a recording in any of `FORMATS`, going by content and not by suffix.

    Parameters
    ----------
    recording
        A file, or the bytes of one.

    Returns
    -------
    samples : (n_samples, channels) float32
    sample_rate : int
        In Hz, within `SAMPLE_RATE_RANGE`.

    Raises
    ------
    AudioError
        If it is no audio, cut short, empty, of an absurd length, rate or number of channels, or holds values that
        are no samples.

    Notes
    -----
    Whether a file is cut short is known where its header announces a length: WAV, RF64, W64, AIFF, AU, CAF (but for
    its last 12 bytes), FLAC, and MP3 with a Xing or Info header. It is not known, and what is there is taken, in OGG,
    in MP3 without such a header, in NIST, where a header leaves the length open, as those written to a pipe do, and
    where so many chunks come before the audio that libsndfile's notes (2 kB) break off.
    """
    with open_recording(recording) as (file, stream):
        return np.concatenate(list(read_blocks(file, stream))), file.samplerate


@contextmanager
def open_recording(recording: Path | bytes) -> Iterator[tuple[Any, BinaryIO]]:
    """Open a recording as a SoundFile on a stream; what goes wrong until it is closed is an AudioError."""
    try:
        with _stream(recording) as stream, soundfile.SoundFile(stream) as file:
            _check_header(file)
            yield file, stream
    except soundfile.LibsndfileError as error:
        raise _refused(error, read_magic_bytes(recording, size=4)) from None
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror or error}") from None


def _refused(error: Any, begins: bytes) -> AudioError:
    # A file that stops within its first frame is none, to libsndfile.
    reason = "Format not recognised" if error.code == NO_FILE else str(error.error_string).strip().rstrip(".")
    if begins == b"fLaC":  # of one that ends early, libsndfile says at best that its decoder lost sync
        said = reason.removeprefix("Error : ")
        return AudioError(f"not decodable as audio: the FLAC file ends early or is broken ({said}); copy it anew")
    kind = UnsupportedFormatError if error.code in (UNKNOWN, NO_FILE) else AudioError
    return kind(f"not decodable as audio: {reason}")


def read_magic_bytes(recording: Path | bytes, *, size: int) -> bytes:
    """Read the first bytes of a recording, as far as there are any that can be read."""
    if isinstance(recording, bytes):
        return recording[:size]
    try:
        with recording.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _stream(recording: Path | bytes) -> BinaryIO:
    # A pipe would be waited for, and a device need never end.
    if isinstance(recording, Path) and not stat.S_ISREG(recording.stat().st_mode):
        raise AudioError("is no file, but a folder, a pipe or a device")
    raw = recording.open("rb", buffering=0) if isinstance(recording, Path) else io.BytesIO(recording)
    stream = _Stream(raw)
    if not stream.peek(1):
        stream.close()
        raise AudioError("the file is empty (0 bytes)")
    return stream


class _Stream(io.BufferedReader):
    """A stream for libsndfile, which sees by itself where it got to; an exception there is printed and lost."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go nowhere if there is no such place: headers that are damaged lead anywhere."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()

    def readinto(self, buffer: Any) -> int:
        """Read nothing from where a disk is damaged."""
        try:
            return super().readinto(buffer)
        except OSError:
            return 0


def _check_header(file: Any) -> None:
    """Refuse what a header says that no recording of speech has, before anything is decoded."""
    if file.format not in FORMATS:
        raise AudioError(f"in the format {file.format}, which is not taken; convert it to WAV or FLAC")
    _check_whole(file)
    _check_layout(rate=file.samplerate, channels=file.channels)
    if file.frames > MAX_FRAMES:
        raise AudioError("its header leaves the length open; write the file anew with a tool that notes it")
    if file.frames < 1:
        raise AudioError("holds no samples")
    hours = file.frames / file.samplerate / 3600
    if hours > MAX_HOURS:
        raise AudioError(f"too long: {hours:.1f} hours by its header, at most {MAX_HOURS:g} are taken; cut it up")


def _check_layout(*, rate: int, channels: int) -> None:
    low, high = SAMPLE_RATE_RANGE
    if not low <= rate <= high:
        raise AudioError(f"its header says {rate} Hz; rates from {low} to {high} Hz are taken")
    if channels > MAX_CHANNELS:
        raise AudioError(f"its header says {channels} channels; at most {MAX_CHANNELS} are taken")


def _check_whole(file: Any) -> None:
    """Refuse a file that ends before its header says; libsndfile would read what is there without a word."""
    # What libsndfile notes of, in this order: WAV and CAF, AIFF, AU, W64, RF64.
    sizes = r"^ *(?:data|SSND|Data Size|riff|Riff size) *: *(\d+) *\(should be (\d+)\)"
    found = re.search(sizes, file.extra_info, re.MULTILINE)
    if not found:
        return
    announced, held = int(found[1]), int(found[2])
    if announced > held and (announced < UNKNOWN_LENGTH_BYTES or file.format in ("CAF", "W64", "RF64")):
        raise AudioError(f"cut short: the header announces {announced} bytes, the file holds {held}")


def read_blocks(file: Any, stream: BinaryIO) -> Iterator[MultichannelWaveform]:
    """Decode an open recording block by block, (n_samples, channels) each, so that memory does not grow with length.

    Raises
    ------
    AudioError
        If it is cut short, or holds values that are no samples.
    """
    n_samples = 0
    while len(block := file.read(BLOCK_SIZE, dtype="float32", always_2d=True)):
        _check_values(block)
        n_samples += len(block)
        yield block
    _check_all_read(file, stream, n_samples)


def _check_values(block: MultichannelWaveform) -> None:
    loudest = np.abs(block).max()
    if not np.isfinite(loudest):
        raise AudioError("holds values that are not numbers (NaN or infinity)")
    if loudest > MAX_ABS_SAMPLE:
        raise AudioError(f"holds values up to {loudest:.1e} (full scale is 1), which no recording has")


def _check_all_read(file: Any, stream: BinaryIO, n_samples: int) -> None:
    """Refuse a file that gave fewer samples than announced, and an MP3 of which libsndfile left a part unread."""
    n_bytes = stream.tell()
    if file.format == "MP3" and not _announces_length(stream):
        # The samples are but an estimate then, from the bit rate of the first frame.
        size = stream.seek(0, io.SEEK_END)
        if n_bytes < MIN_READ_FRACTION * size:
            raise AudioError(f"an MP3 of unknown length: read {n_bytes} of {size} bytes; encode it anew")
    elif n_samples < file.frames:
        raise AudioError(f"cut short: the header announces {file.frames} samples, the file holds {n_samples}")
    if n_samples == 0:
        raise AudioError("holds no samples")


def _announces_length(stream: BinaryIO) -> bool:
    """Look for a Xing or Info header in the first frame of an MP3, behind an ID3v2 tag where there is one."""
    stream.seek(0)
    tag = stream.read(10)
    if tag.startswith(b"ID3"):
        stream.seek(sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True)) + 10)
    else:
        stream.seek(0)
    frame = stream.read(64)
    return b"Xing" in frame or b"Info" in frame


def stream_blocks(recording: Path | bytes, *, rate: int) -> Iterator[Waveform]:
    """Decode a recording block by block, mono and at a rate in Hz, so that a long one is never in memory as a whole.

    Raises
    ------
    AudioError
        As `decode` does; what is wrong with the end of a file is found there.
    """
    with open_recording(recording) as (file, stream):
        blocks = (to_mono(block) for block in read_blocks(file, stream))
        yield from resampled_blocks(blocks, rate=file.samplerate, to=rate)


def get_duration(recording: Path | bytes) -> float:
    """Read how long a recording is by its header, in seconds.

    Raises
    ------
    AudioError
        If it is no audio.
    """
    with open_recording(recording) as (file, _):
        return float(file.frames / file.samplerate)


def get_samplerate(file: Path) -> int | None:
    """Read the rate in a file's header, in Hz; None where it is no audio."""
    try:
        with open_recording(file) as (opened, _):
            return int(opened.samplerate)
    except AudioError:
        return None


def from_array(samples: npt.ArrayLike, *, rate: int) -> Waveform:
    """Take samples that somebody decoded, and average their channels.

    Parameters
    ----------
    samples : (n_samples,) or (n_samples, channels)
        Full scale at 1, or integer PCM: then what its type can hold is full scale.
    rate
        In Hz.

    Returns
    -------
    (n_samples,) float32

    Raises
    ------
    AudioError
        If they are no samples, or too many channels, or the rate is absurd.
    """
    values = np.asarray(samples)
    if values.ndim not in (1, 2) or values.dtype.kind not in "iuf" or not values.size:
        raise AudioError(
            f"samples are an array of {values.dtype} of the shape {values.shape}; expected numbers, (n_samples,) or "
            "(n_samples, channels)"
        )
    _check_layout(rate=rate, channels=1 if values.ndim == 1 else values.shape[1])
    scaled = _full_scale_at_1(values)
    _check_values(scaled)
    return to_mono(scaled.reshape(len(scaled), -1))


def _full_scale_at_1(values: npt.NDArray[Any]) -> MultichannelWaveform:
    if values.dtype.kind == "f":
        return np.asarray(values, dtype=np.float32)
    half = 2.0 ** (8 * values.dtype.itemsize - 1)
    return ((values - (half if values.dtype.kind == "u" else 0)) / half).astype(np.float32)


def read_chunks(recording: Path | bytes, *, whole: float, piece: float) -> Iterator[tuple[Waveform, int]]:
    """Decode a recording in the pieces of `split_into_chunks`, each with its rate in Hz, in bounded memory.

    Raises
    ------
    AudioError
        As `decode` does; of what comes late in a recording, after pieces before it.
    """
    with open_recording(recording) as (file, stream):
        blocks = (to_mono(block) for block in read_blocks(file, stream))
        for signal in split_into_chunks(blocks, rate=file.samplerate, whole=whole, piece=piece):
            yield signal, file.samplerate


def split_into_chunks(blocks: Iterable[Waveform], *, rate: int, whole: float, piece: float) -> Iterator[Waveform]:
    """Cut a signal that comes in blocks.

    Parameters
    ----------
    blocks
        (n_samples,) float32 each.
    rate
        In Hz.
    whole
        Seconds up to which it is left whole.
    piece
        Seconds of a piece of a longer one; the last lasts from half of that to one and a half.

    Yields
    ------
    (n_samples,) float32
    """
    waiting, started = np.empty(0, dtype=np.float32), False
    size = round(piece * rate)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        started = started or len(waiting) > whole * rate
        while started and len(waiting) >= 1.5 * size:
            yield waiting[:size]
            waiting = waiting[size:]
    yield waiting


def quantize_16bit(signal: Waveform, *, rate: int) -> Waveform:
    """Round a clip to 16 bits, as `to_flac` does on its way into tables and from there into training."""
    return from_flac(to_flac(signal, rate=rate))


def to_flac(signal: Waveform, *, rate: int) -> bytes:
    """Encode a signal as 16-bit FLAC: lossless from there on, and the same bytes every time."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(signal, -1, 1), rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def to_mp3(recording: Path | bytes, *, rate: int = 16000) -> bytes:
    """Encode a recording as mono MP3, which every browser plays and which is small: an hour takes about 10 MB.

    Parameters
    ----------
    recording
        A file, or the bytes of one; it is decoded block by block.
    rate
        Of the MP3, in Hz.

    Raises
    ------
    AudioError
        As `decode` does.
    """
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, 1, "MPEG_LAYER_III", format="MP3") as file:
        for block in stream_blocks(recording, rate=rate):
            file.write(np.clip(block, -1, 1))
    return buffer.getvalue()


def mu_law_codec(signal: Waveform, *, rate: int) -> Waveform:
    """Encode a signal by the 8-bit mu law of ITU-T G.711, and decode it: what passes full scale is cut off."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(signal, -1, 1), rate, format="WAV", subtype="ULAW")
    return soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")[0]


def from_flac(content: bytes) -> Waveform:
    """Decode what `to_flac` made, as a (n_samples,) float32 array."""
    return soundfile.read(io.BytesIO(content), dtype="float32")[0]
