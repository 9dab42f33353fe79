"""What libsndfile does not know goes through ffmpeg where it is installed, and is refused with a reason elsewhere."""

import sys
from pathlib import Path

import numpy as np
import pytest
import signals

from ser import audio, ffmpeg
from ser.audio import AudioError, UnknownFormatError

REFUSED = UnknownFormatError("not decodable as audio: Format not recognised")


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a program called ffmpeg, written in Python, where alone programs are found."""
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsource, target = sys.argv[-8][5:], sys.argv[-1][5:]\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_ffmpeg_converts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes or a file reach ffmpeg, and what it writes is read; only one audio file, and no playlist, may be opened."""
    log = tmp_path / "log"
    sound = signals.encode(signals.sine(200, seconds=0.5))
    (tmp_path / "sound.wav").write_bytes(sound)
    body = f"open({str(log)!r}, 'w').write(' '.join(sys.argv))\n"
    copy = f"import shutil; assert open(source).read() == 'm4a'; shutil.copy({str(tmp_path / 'sound.wav')!r}, target)"
    install(tmp_path, monkeypatch, body + copy)
    (tmp_path / "-a.m4a").write_bytes(b"m4a")
    for recording in (b"m4a", tmp_path / "-a.m4a"):
        with ffmpeg.as_wav(recording, refused=REFUSED) as path:
            samples, rate = audio.decode(path)
        np.testing.assert_allclose(samples[:, 0], signals.sine(200, seconds=0.5), atol=1e-4)
        assert rate == signals.RATE
        assert not path.exists()
        assert "-protocol_whitelist file -format_whitelist" in log.read_text()


@pytest.mark.parametrize("body", ["sys.exit(1)", "pass"])
def test_what_ffmpeg_cannot_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Where ffmpeg fails, or writes nothing, the error says that both were tried."""
    install(tmp_path, monkeypatch, body)
    with pytest.raises(AudioError, match="not recognised, nor by ffmpeg"), ffmpeg.as_wav(b"text", refused=REFUSED):
        pass


def test_without_ffmpeg_the_error_says_what_would_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match="with ffmpeg installed"), ffmpeg.as_wav(b"m4a", refused=REFUSED):
        pass
