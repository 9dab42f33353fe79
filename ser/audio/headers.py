"""Correct wrong sizes in headers of WAV files, as recorders write them that were stopped or count wrongly."""

import io
import struct
from typing import BinaryIO

TRAILING_CHUNKS = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"PEAK", b"_PMX")
"""Chunks that programs write after the audio."""
MAX_TRAILING_BYTES = 1 << 16
MIN_SIZE_OF_PIPES = 0x7F000000
"""Minimum of the sizes that programs write if they do not know the length, as into a pipe."""
MAX_MISSING_BYTES, MAX_MISSING_FRACTION = 256, 0.01
"""A declared size may exceed the actual one by the larger of these; otherwise the file is truncated."""


def is_truncated(*, declared: int, actual: int) -> bool:
    """Check whether a file lacks more bytes than wrong headers do."""
    return declared - actual > max(MAX_MISSING_BYTES, MAX_MISSING_FRACTION * declared)


def repaired_wav_header(stream: BinaryIO) -> bytes | None:
    """Find the correct beginning of a WAV file whose size of the audio is 0, unknown or too small, up to that size.

    Returns
    -------
    bytes or None
        None if the header is not wrong in this way, or there is no audio. The position of the stream is 0 afterwards.
    """
    end = stream.seek(0, io.SEEK_END)
    try:
        return _repaired(stream, end)
    finally:
        stream.seek(0)


def _repaired(stream: BinaryIO, end: int) -> bytes | None:
    stream.seek(0)
    magic = stream.read(12)
    if (magic[:4], magic[8:]) != (b"RIFF", b"WAVE"):
        return None
    position = 12
    while position + 8 <= end:
        stream.seek(position)
        name, size = struct.unpack("<4sI", stream.read(8))
        start = position + 8
        if name == b"data":
            is_known = 0 < size < MIN_SIZE_OF_PIPES
            if start >= end or (is_known and _is_chunk(stream, start + size + size % 2, end)):
                return None
            actual = _end_of_audio(stream, start, end) - start
            stream.seek(0)
            head = bytearray(stream.read(start))
            head[4:8], head[start - 4 : start] = struct.pack("<I", end - 8), struct.pack("<I", actual)
            return bytes(head)
        position = start + size + size % 2
    return None


def _is_chunk(stream: BinaryIO, position: int, end: int) -> bool:
    """Check whether a chunk starts at a position, or the file ends there or shortly after."""
    if end - position <= MAX_MISSING_BYTES:
        return True
    stream.seek(position)
    name, size = struct.unpack("<4sI", stream.read(8))
    return bool(name.isascii() and name.decode().isprintable() and position + 8 + size <= end + 1)


def _end_of_audio(stream: BinaryIO, start: int, end: int) -> int:
    """Find the first chunk after the audio that, with those after it, ends at the end of the file."""
    offset = max(start, end - MAX_TRAILING_BYTES)
    stream.seek(offset)
    tail = stream.read(end - offset)
    positions = sorted(n for name in TRAILING_CHUNKS if (n := tail.find(name)) >= 0)
    for position in positions:
        after = position
        while after + 8 <= len(tail) and tail[after : after + 4] in TRAILING_CHUNKS:
            size = struct.unpack("<I", tail[after + 4 : after + 8])[0]
            after += 8 + size + size % 2
        if after in (len(tail), len(tail) + 1):
            return offset + position
    return end
