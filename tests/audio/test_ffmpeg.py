"""Recordings that libsndfile does not read are converted by ffmpeg if it is installed, and refused otherwise."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ser.audio import ffmpeg
from ser.audio import io as audio_io
from ser.audio.io import AudioError, UnsupportedFormatError
from tests.helpers import signals

REFUSED = UnsupportedFormatError("not decodable as audio: Format not recognised")
M4A = b"\0\0\0 ftypM4A \0\0\2\0"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a Python program named ffmpeg on the otherwise empty PATH."""
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsource, target = sys.argv[-8][5:], sys.argv[-1][5:]\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_ffmpeg_converts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program gets the bytes or the file, may open neither playlists nor addresses, and its output is removed."""
    log = tmp_path / "log"
    sound = signals.encode(signals.sine(200, seconds=0.5))
    (tmp_path / "sound.wav").write_bytes(sound)
    body = f"open({str(log)!r}, 'w').write(' '.join(sys.argv))\n"
    check = f"assert open(source, 'rb').read() == {M4A!r}\n"
    copy = f"import shutil; shutil.copy({str(tmp_path / 'sound.wav')!r}, target)"
    install(tmp_path, monkeypatch, body + check + copy)
    (tmp_path / "-a.m4a").write_bytes(M4A)
    for recording in (M4A, tmp_path / "-a.m4a"):
        with ffmpeg.converted_to_wav(recording, refused=REFUSED) as path:
            samples, rate = audio_io.decode(path)
        np.testing.assert_allclose(samples[:, 0], signals.sine(200, seconds=0.5), atol=1e-4)
        assert rate == signals.RATE
        assert not path.exists()
        assert "-protocol_whitelist file -format_whitelist" in log.read_text()
    assert not {"hls", "concat", "dash"} & set(ffmpeg.CONTAINERS.split(","))


@pytest.mark.parametrize("body", ["sys.exit(1)", "pass", "import time; time.sleep(60)"])
def test_what_ffmpeg_does_not_convert_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """If ffmpeg fails, writes nothing or exceeds the time limit, the error says that both were tried."""
    monkeypatch.setattr(ffmpeg, "TIMEOUT_SECONDS", 2)
    install(tmp_path, monkeypatch, body)
    with (
        pytest.raises(AudioError, match="not recognised; ffmpeg"),
        ffmpeg.converted_to_wav(M4A, refused=REFUSED),
    ):
        pass


@pytest.mark.parametrize("content", [M4A + bytes(99), b"Dogs are sitting\n" * 99, b"\x89PNG\r\n\x1a\n" + bytes(99)])
def test_without_ffmpeg_the_error_names_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """The error lists what is read without ffmpeg, and says that it would help with other formats."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "x.wav").write_bytes(content)
    for recording in (content, tmp_path / "x.wav"):
        with pytest.raises(AudioError, match=r"WAV.*install ffmpeg"), ffmpeg.open_with_ffmpeg(recording):
            pass


def test_what_libsndfile_reads_is_not_converted() -> None:
    """Other recordings are passed on as they are."""
    sound = signals.encode(signals.sine(200, seconds=0.5))
    with ffmpeg.open_with_ffmpeg(sound) as recording:
        assert recording is sound
