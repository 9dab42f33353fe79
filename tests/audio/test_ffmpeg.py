"""Recordings that libsndfile cannot read are converted by ffmpeg if it is installed, and rejected otherwise."""

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
WAV = signals.encode(signals.sine(200, seconds=0.5))


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a Python program named ffmpeg on the otherwise empty PATH."""
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsource, target = sys.argv[-8][5:], sys.argv[-1][5:]\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ffmpeg gets a file or bytes, may open neither playlists nor addresses, and its output is deleted."""
    log, output = tmp_path / "log", tmp_path / "output.wav"
    output.write_bytes(WAV)
    body = f"open({str(log)!r}, 'w').write(' '.join(sys.argv))\n"
    body += f"assert open(source, 'rb').read() == {M4A!r}\n"
    body += f"import shutil; shutil.copy({str(output)!r}, target)"
    install(tmp_path, monkeypatch, body)
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
def test_failed_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """If ffmpeg fails, writes nothing or exceeds the time limit, the error has both reasons."""
    monkeypatch.setattr(ffmpeg, "TIMEOUT_SECONDS", 2)
    install(tmp_path, monkeypatch, body)
    with pytest.raises(AudioError, match="not recognised; ffmpeg"), ffmpeg.converted_to_wav(M4A, refused=REFUSED):
        pass


def test_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error lists the accepted formats, and that ffmpeg reads others; these are not converted."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match=r"WAV.*ffmpeg"), ffmpeg.open_with_ffmpeg(M4A + bytes(99)):
        pass
    with ffmpeg.open_with_ffmpeg(WAV) as recording:
        assert recording is WAV
