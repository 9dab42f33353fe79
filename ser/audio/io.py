"""Decode and encode recordings by libsndfile, or else decode by FFmpeg. Only this module imports soundfile."""

import io
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from ser.audio import av_decoder
from ser.audio.av_decoder import DecodingError
from ser.audio.effects import downmix, resampled_blocks
from ser.audio.formats import HEAD_BYTES, identify
from ser.audio.headers import MIN_SIZE_OF_PIPES, is_truncated, repaired_wav_header
from ser.audio.types import MultichannelWaveform, Waveform
from ser.utils.errors import UserError

FORMATS = ("WAV", "WAVEX", "RF64", "NIST", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "W64")
"""Accepted formats, by libsndfile's names. Others are identified by so few bytes that random data may match."""
BLOCK_SIZE = 1 << 20
"""Samples per channel decoded at a time."""
UNRECOGNIZED_FORMAT, MALFORMED_FILE, NOT_A_FILE = 1, 3, 7
"""Error codes of libsndfile. It detects truncated files, which FFmpeg would read to their end."""
MAX_FRAMES = 1 << 40
"""Maximum length in samples; libsndfile reports 2**63 - 1 for an unknown length."""
SAMPLE_RATE_RANGE = (4_000, 384_000)
"""Accepted sample rates in Hz, both included."""
MAX_CHANNELS = 32
MAX_HOURS = 2.0
"""Maximum duration; the header of a small file may declare centuries."""
MAX_ABS_SAMPLE = 2.0**31
"""Maximum of samples, for files with integers stored as floats; squares beyond 2**127 overflow."""
MIN_READ_FRACTION = 0.9
"""Minimum fraction of an MP3 of unknown length, or of the duration of a file that FFmpeg reads, to be decoded."""
WITHOUT_LENGTH = ("mp3", "aac", "ac3", "amr")
"""Formats whose duration FFmpeg estimates."""


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
    """Decode a recording in any of `FORMATS` or `ser.audio.av_decoder.DEMUXERS`, identified by content.

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
    with open_recording(recording) as file:
        return np.concatenate(list(file.blocks())), file.samplerate


@dataclass
class OpenRecording:
    """An open recording.

    Attributes
    ----------
    samplerate : int
        In Hz.
    channels : int
    frames : int
        Number of samples per channel by the header; 0 if unknown.
    flags : list of str
        ``header_repaired`` if sizes in the header are wrong; ``opposite_phase`` after `mono_blocks`, if channels cancel
        each other.
    """

    samplerate: int
    channels: int
    frames: int
    flags: list[str]
    _read: Callable[[], Iterator[MultichannelWaveform]]

    def blocks(self) -> Iterator[MultichannelWaveform]:
        """Decode in blocks of shape (n_samples, n_channels), in constant memory.

        Raises
        ------
        AudioError
            If the recording is truncated or has invalid values.
        """
        n_samples = 0
        for block in self._read():
            _check_values(block)
            n_samples += len(block)
            yield block
        if n_samples == 0:
            raise AudioError("contains no samples")

    def mono_blocks(self) -> Iterator[Waveform]:
        """Decode in blocks of shape (n_samples,), as by `downmix`."""
        yield from downmix(self.blocks(), flags=self.flags)


@contextmanager
def open_recording(recording: Path | bytes) -> Iterator[OpenRecording]:
    """Open a recording by libsndfile, or else by FFmpeg, and raise any error within the context as an AudioError."""
    magic = b""
    try:
        with ExitStack() as stack:
            stream = stack.enter_context(_open_stream(recording))
            magic = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
            try:
                opened = stack.enter_context(_open_by_libsndfile(stream))
            except (soundfile.LibsndfileError, UnsupportedFormatError) as error:
                if getattr(error, "code", None) == MALFORMED_FILE:
                    raise
                refused = error if isinstance(error, AudioError) else _audio_error(error, magic=magic)
                opened = stack.enter_context(_open_by_ffmpeg(stream, magic, refused=refused))
            yield opened
    except soundfile.LibsndfileError as error:
        raise _audio_error(error, magic=magic) from None
    except DecodingError as error:
        raise AudioError(f"not decodable as audio: {error}") from None
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror or error}") from None


@contextmanager
def _open_by_libsndfile(stream: "_LenientStream") -> Iterator[OpenRecording]:
    stream.replacement = repaired_wav_header(stream) or b""
    with soundfile.SoundFile(stream) as file:
        flags = ["header_repaired"] if _check_header(file) or stream.replacement else []

        def read() -> Iterator[MultichannelWaveform]:
            n_samples = 0
            while len(block := file.read(BLOCK_SIZE, dtype="float32", always_2d=True)):
                n_samples += len(block)
                yield block
            _check_complete(file, stream, n_samples)

        yield OpenRecording(file.samplerate, file.channels, file.frames, flags, read)


@contextmanager
def _open_by_ffmpeg(stream: "_LenientStream", head: bytes, *, refused: AudioError) -> Iterator[OpenRecording]:
    demuxer = identify(head)
    if demuxer == "mp3" and head.startswith(b"ID3"):  # tags are also before AAC
        demuxer = "aac"
    if demuxer in (None, "mp3"):  # libsndfile reads all MP3 files, and FFmpeg would read truncated ones
        raise refused
    stream.seek(0)
    with av_decoder.open_file(stream, demuxer=demuxer) as file:
        _check_layout(rate=file.samplerate, channels=file.channels)
        _check_duration(file.frames / file.samplerate)

        def read() -> Iterator[MultichannelWaveform]:
            n_samples = 0
            for block in _join_blocks(file.blocks(max_samples=round(MAX_HOURS * 3600 * file.samplerate))):
                n_samples += len(block)
                yield block
            if demuxer not in WITHOUT_LENGTH and n_samples < MIN_READ_FRACTION * file.frames:
                declared, found = (n / file.samplerate for n in (file.frames, n_samples))
                raise AudioError(f"truncated: the header declares {declared:.2f} s, the file has {found:.2f} s")

        yield OpenRecording(file.samplerate, file.channels, file.frames, [], read)


def _join_blocks(blocks: Iterable[MultichannelWaveform]) -> Iterator[MultichannelWaveform]:
    """Join blocks to blocks of about `BLOCK_SIZE` samples."""
    pending: list[MultichannelWaveform] = []
    n_pending = 0
    for block in blocks:
        pending.append(block)
        n_pending += len(block)
        if n_pending >= BLOCK_SIZE:
            yield np.concatenate(pending)
            pending, n_pending = [], 0
    if pending:
        yield np.concatenate(pending)


def _audio_error(error: Any, *, magic: bytes) -> AudioError:
    # libsndfile does not take a file that ends within its first frame for a file.
    reason = "Format not recognised" if error.code == NOT_A_FILE else str(error.error_string).strip().rstrip(".")
    if magic.startswith(b"fLaC"):  # libsndfile only reports that the decoder lost sync
        detail = reason.removeprefix("Error : ")
        return AudioError(f"not decodable as audio: the FLAC file is truncated or damaged ({detail}); copy it again")
    error_class = UnsupportedFormatError if error.code in (UNRECOGNIZED_FORMAT, NOT_A_FILE) else AudioError
    return error_class(f"not decodable as audio: {reason}")


class _LenientStream(io.BufferedReader):
    """A stream without exceptions, which libsndfile would print and ignore. It checks positions and sizes itself.

    The first bytes that it reads are those of `replacement`.
    """

    replacement = b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Keep the position if the target, read from a damaged header, does not exist."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return self.tell()

    def readinto(self, buffer: Any) -> int:
        """Read nothing if the disk fails."""
        try:
            position, n_read = self.tell(), super().readinto(buffer)
        except OSError:
            return 0
        part = self.replacement[position : position + n_read]
        memoryview(buffer).cast("B")[: len(part)] = part
        return n_read


def _open_stream(recording: Path | bytes) -> _LenientStream:
    # Opening a pipe would block, and reading a device may never end.
    if isinstance(recording, Path) and not stat.S_ISREG(recording.stat().st_mode):
        raise AudioError("is a folder, a pipe or a device; expected a file")
    stream = _LenientStream(recording.open("rb", buffering=0) if isinstance(recording, Path) else io.BytesIO(recording))
    if not stream.peek(1):
        stream.close()
        raise AudioError("the file is empty (0 bytes)")
    return stream


def _check_header(file: Any) -> bool:
    """Check a file that libsndfile opened; return whether it is shorter than declared, but not truncated."""
    if file.format not in FORMATS or (file.format != "MP3" and file.subtype.startswith("MPEG")):
        raise UnsupportedFormatError(f"the format {file.format} ({file.subtype}) is not supported; convert it to FLAC")
    is_shorter = _check_declared_size(file)
    _check_layout(rate=file.samplerate, channels=file.channels)
    if file.frames > MAX_FRAMES:
        raise AudioError("the header declares no length; encode it again by a program that does")
    if file.frames < 1:
        raise AudioError("contains no samples")
    _check_duration(file.frames / file.samplerate)
    return is_shorter


def _check_duration(seconds: float) -> None:
    hours = seconds / 3600
    if hours > MAX_HOURS:
        raise AudioError(f"too long: the header declares {hours:.1f} hours, expected at most {MAX_HOURS:g}; split it")


def _check_layout(*, rate: int, channels: int) -> None:
    low, high = SAMPLE_RATE_RANGE
    if not low <= rate <= high:
        raise AudioError(f"the sample rate is {rate} Hz; expected {low} to {high}")
    if channels > MAX_CHANNELS:
        raise AudioError(f"the number of channels is {channels}; expected at most {MAX_CHANNELS}")


def _check_declared_size(file: Any) -> bool:
    """Reject a file much shorter than its header declares, which libsndfile only logs; return whether it is shorter."""
    # As logged for WAV and CAF, AIFF, AU, W64 and RF64, in this order.
    sizes = r"^ *(?:data|SSND|Data Size|riff|Riff size) *: *(\d+) *\(should be (\d+)\)"
    match = re.search(sizes, file.extra_info, re.MULTILINE)
    if not match:
        return False
    declared, actual = int(match[1]), int(match[2])
    is_known = declared < MIN_SIZE_OF_PIPES or file.format in ("CAF", "W64", "RF64")
    if is_known and is_truncated(declared=declared, actual=actual):
        found = file.frames / file.samplerate
        declares = f"{declared} bytes ({found * declared / max(actual, 1):.2f} s)"
        raise AudioError(f"truncated: the header declares {declares}, the file has {actual} ({found:.2f} s)")
    return declared > actual


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
    with open_recording(recording) as file:
        yield from resampled_blocks(file.mono_blocks(), rate=file.samplerate, to=rate)


def get_duration(recording: Path | bytes) -> float:
    """Read the duration in seconds from the header, or decode the recording if there is none.

    Raises
    ------
    AudioError
        If it is not audio.
    """
    with open_recording(recording) as file:
        n_samples = file.frames or sum(map(len, file.blocks()))  # browsers write WebM without a duration
        return float(n_samples / file.samplerate)


def get_samplerate(file: Path) -> int | None:
    """Read the sample rate in Hz from the header; None if it is not audio."""
    try:
        with open_recording(file) as opened:
            return int(opened.samplerate)
    except AudioError:
        return None


def from_array(samples: npt.ArrayLike, *, rate: int, flags: list[str] | None = None) -> Waveform:
    """Convert decoded samples to a mono float32 signal.

    Parameters
    ----------
    samples : array-like of shape (n_samples,) or (n_samples, n_channels)
        Floats with full scale at 1, or integer PCM with full scale at the range of its type.
    rate : int
        Sample rate in Hz.
    flags : list of str, optional
        Extended as by `downmix`.

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
    [mono] = downmix([scaled.reshape(len(scaled), -1)], flags=[] if flags is None else flags)
    return mono


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
