"""What libsndfile does not know goes through ffmpeg where it is installed, and is refused with a reason elsewhere."""

import re
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


@pytest.mark.parametrize("body", ["sys.exit(1)", "pass"])
def test_what_ffmpeg_cannot_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Where ffmpeg fails, or writes nothing, the error says that both were tried."""
    install(tmp_path, monkeypatch, body)
    with (
        pytest.raises(AudioError, match="not recognised, nor by ffmpeg"),
        ffmpeg.converted_to_wav(M4A, refused=REFUSED),
    ):
        pass


def reason(recording: Path | bytes) -> str:
    with pytest.raises(AudioError) as caught, ffmpeg.open_with_ffmpeg(recording):
        pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("begins", "kind"),
    [
        (M4A, "MP4, M4A"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81", "WebM"),
        (bytes.fromhex("3026b2758e66cf11"), "WMA"),
        (b"\xff\xf1P\x80", "AAC"),
        (b"#!AMR\n<\x91\x17", "AMR"),
    ],
)
def test_without_ffmpeg_the_error_says_what_would_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: bytes, kind: str
) -> None:
    """What is missing is named, where a recording begins as one that ffmpeg reads, whatever its name."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "x.wav").write_bytes(begins + bytes(99))
    for recording in (begins + bytes(99), tmp_path / "x.wav"):
        assert re.search(f"it may be {kind}.*with ffmpeg installed", reason(recording))


def test_a_name_may_promise_that_ffmpeg_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that nobody knows may be of the format that the name says."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, said in (("x.OPUS", "it may be OPUS: with ffmpeg"), ("x.wav", "is no audio: found a file")):
        (tmp_path / name).write_bytes(bytes(range(8)))
        assert said in reason(tmp_path / name)


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"Dogs are sitting\nby the door\n" * 99, "a text that begins with “Dogs are sitting by the door D…”"),
        ("\ufeffGrüße".encode(), "a text that begins with “Grüße”"),
        ("Grüße".encode("utf-16"), "a text that begins with “Grüße”"),
        (b"x" + "ü".encode() * 999, "a text that begins with “xüüü"),  # the bytes read end within a character
    ],
)
def test_a_text_is_no_audio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, found: str, installed: bool
) -> None:
    """Whatever its name, and whether or not there is an ffmpeg, which would not help and is not asked."""
    install(tmp_path, monkeypatch, f"open({str(tmp_path / 'asked')!r}, 'w')")
    if not installed:
        monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("x.wav", "x.m4a"):
        (tmp_path / name).write_bytes(content)
        said = reason(tmp_path / name)
        assert f"is no audio: found {found}" in said
        assert "expected WAV" in said
        assert "ffmpeg" not in said
    assert not (tmp_path / "asked").exists()


def test_other_files_are_no_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a picture, whose first bytes are shown."""
    monkeypatch.setenv("PATH", str(tmp_path))
    said = reason(b"\x89PNG\r\n\x1a\n" + bytes(99))
    assert said.startswith("is no audio: found a file that begins with the bytes 89 50 4e 47 0d 0a 1a 0a; expected")
