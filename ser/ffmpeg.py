"""What libsndfile does not read, such as m4a, by way of ffmpeg where that is installed. The only door to it."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ser.audio import AudioError, UnknownFormatError

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,amr,ac3,eac3,wv,ape,tta,dsf,flac,ogg,mp3,wav"
"""What ffmpeg may take a file for. It also knows playlists, which may name any other file or address."""
SECONDS = 600
"""Longer than this it never takes."""


@contextmanager
def as_wav(recording: Path | bytes, *, refused: UnknownFormatError) -> Iterator[Path]:
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
        If ffmpeg is not installed, or cannot read it either.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioError(f"{refused}; with ffmpeg installed, m4a and many other formats are read too")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "recording", Path(folder) / "recording.wav"
        if isinstance(recording, bytes):
            source.write_bytes(recording)
        else:
            source = recording.resolve()
        _convert(program, source, target, refused=refused)
        yield target


def _convert(program: str, source: Path, target: Path, *, refused: UnknownFormatError) -> None:
    reading = ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, "-i", f"file:{source}"]
    writing = ["-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "wav", f"file:{target}"]
    try:
        done = subprocess.run(
            [program, "-nostdin", "-v", "error", *reading, *writing], capture_output=True, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AudioError(f"{refused}; ffmpeg did not finish ({type(error).__name__})") from None
    if done.returncode or not target.is_file():
        raise AudioError(f"{refused}, nor by ffmpeg")
