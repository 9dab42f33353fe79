"""Convert recordings that libsndfile cannot read, such as M4A, by the program ffmpeg if it is installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ser.audio import io as audio_io
from ser.audio.io import AudioError, UnsupportedFormatError

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,asf,aac,amr,ac3,eac3,wv,ape,tta,dsf,flac,ogg,mp3,wav"
"""Formats that ffmpeg may open. Playlists are excluded, because they may refer to any file or address."""
TIMEOUT_SECONDS = 600


@contextmanager
def open_with_ffmpeg(recording: Path | bytes) -> Iterator[Path | bytes]:
    """Yield a recording unchanged if libsndfile reads it, otherwise a WAV file that is deleted on exit.

    Raises
    ------
    AudioError
        If neither libsndfile nor ffmpeg reads it.
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
    """Convert a recording to a WAV file that is deleted on exit.

    Parameters
    ----------
    recording : Path or bytes
        A file or its content.
    refused : UnsupportedFormatError
        Error of libsndfile, to be quoted.

    Raises
    ------
    AudioError
        If ffmpeg is not installed or does not read the recording.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioError(f"{refused}; expected WAV, FLAC, MP3, OGG or AIFF (install ffmpeg for M4A, WebM and others)")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "recording", Path(folder) / "recording.wav"
        if isinstance(recording, bytes):
            source.write_bytes(recording)
        else:
            source = recording.resolve()
        reading = ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, "-i", f"file:{source}"]
        writing = ["-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "wav", f"file:{target}"]
        command = [program, "-nostdin", "-v", "error", *reading, *writing]
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            raise AudioError(f"{refused}; ffmpeg failed too ({type(error).__name__})") from None
        if not target.is_file():
            raise AudioError(f"{refused}; ffmpeg found no audio")
        yield target
