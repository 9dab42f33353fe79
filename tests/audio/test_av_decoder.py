"""FFmpeg's libraries decode formats of phones and browsers, and open nothing but the recording."""

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.audio import clean as audio_clean
from ser.audio import formats
from ser.audio import io as audio_io
from ser.audio.io import AudioError
from tests.helpers import av_files, factories
from tests.helpers.signals import encode, level_db, sine

ROOT = Path(__file__).parents[2]
TONE = sine(440, seconds=1.5, amplitude=0.3)
PREPROCESS = factories.settings(preprocess={"denoise_strength": 0, "normalize": "none"}).preprocess


def hertz(signal: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(signal)).argmax() * rate / len(signal))


@pytest.mark.parametrize("name", [*av_files.FORMATS, "adts.wav"])
def test_formats_of_phones_and_browsers(name: str, tmp_path: Path) -> None:
    """The content decides, not the suffix; a file and its bytes have the same samples."""
    content = av_files.aac_in_wav(TONE) if name == "adts.wav" else av_files.encode(TONE, name)
    path = tmp_path / "recording.dat"
    path.write_bytes(content)
    assert formats.looks_like_audio(path)
    samples, rate = audio_io.decode(path)
    np.testing.assert_array_equal(samples, audio_io.decode(content)[0])
    assert (samples.dtype, samples.shape[1]) == (np.float32, 1)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.11)
    assert audio_io.get_duration(path) == pytest.approx(1.5, abs=0.11)
    assert hertz(samples[:, 0], rate) == pytest.approx(440, abs=1)
    assert level_db(samples[:, 0]) == pytest.approx(level_db(TONE), abs=1)


@pytest.mark.parametrize("name", ["m4a", "webm"])
def test_truncated_recordings_are_rejected(name: str) -> None:
    """A WebM file without a duration is read to its end, as from a browser that was closed."""
    content = av_files.encode(TONE, name)[:-4000]
    if name == "webm":
        assert len(audio_clean.clean_and_measure(content, PREPROCESS)[0]) == 1
    else:
        with pytest.raises(AudioError, match="not decodable"):
            audio_io.decode(content)


def test_shared_cases_are_clips(corpora: Path) -> None:
    """Files that libsndfile rejects or misreads."""
    files = [path for path in sorted((corpora.parent / "cases").glob("*.*")) if path.suffix != ".csv"]
    if not files:
        pytest.skip("no folder of cases beside the corpora")
    flags = {"antiphase": ("opposite_phase",), "data_size_plus44": ("header_repaired",), "size0": ("header_repaired",)}
    for path in files:
        if path.stem == "lfs":
            assert not formats.looks_like_audio(path)
            continue
        segments, stats = audio_clean.clean_and_measure(path, PREPROCESS)
        assert len(segments) == (2 if path.stem == "two_angry_pause" else 1), path
        assert stats.flags == flags.get(path.stem, ()), path


@pytest.mark.parametrize("size", [0, 2**31, 2**32 - 1])
@pytest.mark.parametrize("chunks_after", [b"", b"LIST\x04\0\0\0INFO", b"id3 \x03\0\0\0abc\0LIST\x04\0\0\0INFO"])
def test_unknown_size_of_wav(size: int, chunks_after: bytes) -> None:
    """The audio ends with the file, or before chunks that follow it."""
    content = encode(TONE)
    start = content.index(b"data") + 8
    damaged = content[: start - 4] + struct.pack("<I", size) + content[start:] + chunks_after
    with audio_io.open_recording(damaged) as file:
        samples = np.concatenate(list(file.mono_blocks()))
        assert file.flags == ["header_repaired"]
    np.testing.assert_allclose(samples, TONE, atol=1e-4)


HOSTILE = {
    "m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
    "concat": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\nc=IN IP4 127.0.0.1\n",
    "dash": b"<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>",
}


def with_reference(content: bytes) -> bytes:
    """Change the data reference of a QuickTime file from the file itself to another file."""
    damaged = bytearray(content)
    position = damaged.index(b"url \0\0\0\1")
    damaged[position : position + 8] = b"alis\0\0\0\0"
    return bytes(damaged)


SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np, av, soundfile, soxr  # opened before the audit
from ser.audio import io as audio_io
from ser.audio.io import AudioError
opened = []
allowed = sys.argv[1]
def audit(event, args):
    harmless = event == "open" and (str(args[0]) == allowed or str(args[0]).endswith((".py", ".pyc", ".so")))
    if event.startswith("socket.") or (event == "open" and not harmless):
        opened.append([event, str(args[0])])
content = Path(allowed).read_bytes()
audio_io.decode(Path(sys.argv[2]))
sys.addaudithook(audit)
rng, outcomes = np.random.default_rng(int(sys.argv[3])), []
for number in range(int(sys.argv[4]) + 1):
    damaged = np.frombuffer(content, dtype=np.uint8).copy()
    if number:
        head = number % 2 * min(len(damaged), 600) or len(damaged)
        damaged[rng.integers(head, size=1 + number % 8)] = rng.integers(256, size=1 + number % 8)
        damaged = damaged[: rng.integers(len(damaged)) + 1] if number % 5 == 0 else damaged
    try:
        samples = sum(map(len, [audio_io.decode(damaged.tobytes())[0]]))
        outcomes.append(samples)
    except AudioError as error:
        outcomes.append(str(error))
json.dump({"opened": opened, "outcomes": outcomes}, sys.stdout)
"""


def fuzz(content: bytes, folder: Path, *, seed: int, number: int) -> Any:
    path, valid = folder / "recording", folder / "valid.m4a"
    path.write_bytes(content)
    valid.write_bytes(av_files.encode(TONE[:8000], "m4a"))
    command = [sys.executable, "-c", SCRIPT, str(path), str(valid), str(seed), str(number)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(av_files.FORMATS))
def test_damaged_files_are_clips_or_errors(name: str, tmp_path: Path) -> None:
    """No file crashes, hangs, opens another file or connects to a network."""
    result = fuzz(av_files.encode(TONE[:12000], name), tmp_path, seed=len(name), number=60)
    assert result["opened"] == []
    assert result["outcomes"][0] > 10000
    assert len({outcome if isinstance(outcome, int) else "error" for outcome in result["outcomes"]}) > 1
    assert all(isinstance(outcome, int) or "\n" not in outcome for outcome in result["outcomes"])


@pytest.mark.parametrize("name", [*HOSTILE, "reference"])
def test_nothing_that_a_recording_refers_to_is_opened(name: str, tmp_path: Path) -> None:
    """Playlists are no recordings, and data references of QuickTime files are not followed."""
    content = with_reference(av_files.encode(TONE[:12000], "mov")) if name == "reference" else HOSTILE[name]
    result = fuzz(content, tmp_path, seed=1, number=0)
    assert result["opened"] == []
    if name in HOSTILE:
        assert "not decodable" in result["outcomes"][0]
