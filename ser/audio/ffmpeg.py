"""What libsndfile does not read, such as m4a, by way of ffmpeg where that is installed. The only door to it."""

import codecs
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ser.audio import io as audio_io
from ser.audio.io import AudioError, UnsupportedFormatError

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,amr,ac3,eac3,wv,ape,tta,dsf,flac,ogg,mp3,wav"
"""What ffmpeg may take a file for. It also knows playlists, which may name any other file or address."""
MAGIC_BYTES = {
    "MP4, M4A, MOV or 3GP": rb".{4}(ftyp|moov|mdat|wide|free|skip)",
    "WebM or Matroska": rb"\x1aE\xdf\xa3",
    "WMA": rb"0&\xb2u\x8ef\xcf\x11",
    "AAC": rb"\xff[\xf0\xf1\xf8\xf9]|ADIF",
    "AMR": rb"#!AMR",
    "AC-3": rb"\x0bw",
    "WavPack": rb"wvpk",
    "Monkey's Audio": rb"MAC ",
    "TTA": rb"TTA[12]",
    "DSF": rb"DSD ",
    "MP3 or AAC with tags": rb"ID3",
}
"""How files begin that ffmpeg reads and libsndfile does not, by what they are called."""
SUFFIXES = (
    *(".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".3g2", ".mkv", ".mka", ".webm", ".weba"),
    *(".aac", ".ac3", ".amr", ".ape", ".asf", ".opus", ".tta", ".wma"),
)
"""What the names of such files end with."""
TIMEOUT_SECONDS = 600
"""Longer than this it never takes."""
HEAD, SHOWN = 512, 30
"""Bytes by which a file is known, and the characters of a text that an error shows."""


@contextmanager
def open_with_ffmpeg(recording: Path | bytes) -> Iterator[Path | bytes]:
    """Give a recording as it is if libsndfile knows its format, or converted, for as long as the block lasts.

    Raises
    ------
    AudioError
        If it is no audio.
    """
    try:
        audio_io.get_duration(recording)
    except UnsupportedFormatError as refused:
        with converted_to_wav(recording, refused=refused) as converted:
            yield converted
    else:
        yield recording


@contextmanager
def converted_to_wav(recording: Path | bytes, *, refused: UnsupportedFormatError) -> Iterator[Path]:
    """Convert a recording to a WAV file, for as long as the block lasts.

    Parameters
    ----------
    recording
        A file, or the bytes of one.
    refused
        Why libsndfile does not read it.

    Raises
    ------
    AudioError
        If it is text, or ffmpeg is not installed, or cannot read it either.
    """
    program, begins = shutil.which("ffmpeg"), audio_io.read_magic_bytes(recording, size=HEAD)
    kind = _kind(recording, begins)
    if _text(begins) or (program is None and kind is None):
        raise AudioError(f"is no audio: found {describe_content(begins)}; expected WAV, FLAC, MP3, OGG or AIFF")
    if program is None:
        raise AudioError(f"{refused}; it may be {kind}: with ffmpeg installed, that is read too")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "recording", Path(folder) / "recording.wav"
        if isinstance(recording, bytes):
            source.write_bytes(recording)
        else:
            source = recording.resolve()
        _convert(program, source, target, refused=refused)
        yield target


def _kind(recording: Path | bytes, begins: bytes) -> str | None:
    """Name the format that ffmpeg would help with, by a file's first bytes, or else by its name."""
    for kind, pattern in MAGIC_BYTES.items():
        if re.match(pattern, begins, re.DOTALL):
            return kind
    suffix = "" if isinstance(recording, bytes) else recording.suffix.lower()
    return suffix[1:].upper() if suffix in SUFFIXES else None


def _text(begins: bytes) -> str:
    """Read the beginning of a text, on one line; nothing if it is none."""
    encoding = "utf-16" if begins.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        # What the last character lacks may be in the rest of the file.
        text = codecs.getincrementaldecoder(encoding)().decode(begins)
    except UnicodeDecodeError:
        return ""
    line = " ".join(text.split())
    return line if line.isprintable() else ""


def describe_content(begins: bytes) -> str:
    """Say what a file is that is no audio, by its first bytes, as many as `HEAD` or fewer."""
    text = _text(begins)
    if not text:
        return f"a file that begins with the bytes {begins[:8].hex(' ')}"
    return f"a text that begins with “{text[:SHOWN]}{'…' if len(text) > SHOWN else ''}”"


def _convert(program: str, source: Path, target: Path, *, refused: UnsupportedFormatError) -> None:
    reading = ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, "-i", f"file:{source}"]
    writing = ["-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "wav", f"file:{target}"]
    try:
        done = subprocess.run(
            [program, "-nostdin", "-v", "error", *reading, *writing],
            capture_output=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AudioError(f"{refused}; ffmpeg did not finish ({type(error).__name__})") from None
    if done.returncode or not target.is_file():
        raise AudioError(f"{refused}, nor by ffmpeg")
