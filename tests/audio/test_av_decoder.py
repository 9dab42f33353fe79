"""FFmpeg's libraries decode formats of phones and browsers, and open nothing but the recording."""

import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ser.audio import av_decoder, formats
from ser.audio import clean as audio_clean
from ser.audio import io as audio_io
from ser.audio.io import AudioError
from tests.helpers import av_files, factories
from tests.helpers.signals import RATE, encode, level_db, sine

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


@pytest.mark.parametrize("size", [4, 44, 24000])
def test_too_small_size_of_wav(size: int) -> None:
    """No audio is lost, unless a chunk follows the declared end."""
    content = encode(TONE)
    start = content.index(b"data") + 8
    damaged = content[: start - 4] + struct.pack("<I", size) + content[start:]
    with audio_io.open_recording(damaged) as file:
        assert (sum(map(len, file.blocks())), file.flags) == (len(TONE), ["header_repaired"])


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AIFF", "CAF", "W64", "AU", "FLAC"])
def test_valid_headers_are_not_repaired(kind: str) -> None:
    """Also if a chunk follows the audio."""
    content = encode(TONE, kind=kind)
    for recording in (content, content + b"LIST\x04\0\0\0INFO" if kind == "WAV" else content):
        with audio_io.open_recording(recording) as file:
            assert (sum(map(len, file.blocks())), file.flags) == (len(TONE), [])


HOSTILE = {
    "m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n",
    "concat": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\nc=IN IP4 127.0.0.1\n",
    "dash": b"<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>",
}


def with_reference(content: bytes, target: Path) -> bytes:
    """Let a QuickTime file refer to another file for its audio, by an alias record."""
    path, name = str(target).encode(), target.name.encode()
    body = bytes(50) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">hh", -1, -1) + bytes(16)
    body += struct.pack(">HH", 2, len(path)) + path + bytes(len(path) % 2) + struct.pack(">HH", 0xFFFF, 0) + bytes(16)
    record = struct.pack(">I4sI", 12 + len(body), b"alis", 0) + body
    start = content.index(b"url \0\0\0\1") - 4
    changed = bytearray(content[:start] + record + content[start + 12 :])
    for atom in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        position = content.rindex(atom, 0, start) - 4
        size = struct.unpack(">I", content[position : position + 4])[0] + len(record) - 12
        changed[position : position + 4] = struct.pack(">I", size)
    return bytes(changed)


def test_references_to_other_files_are_not_followed(tmp_path: Path) -> None:
    """FFmpeg would read the other file, which Python cannot observe, if the decoder did not disable this."""
    other = tmp_path / "other.raw"
    other.write_bytes(encode(sine(1000, rate=44100, seconds=5), rate=44100)[44:])
    content = with_reference(av_files.encode(TONE, "mov"), other)
    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(io.BytesIO(content), format="mov", options=options) as container:
        followed = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    assert hertz(followed, 44100) == pytest.approx(1000, abs=1)
    with pytest.raises(AudioError):
        audio_io.decode(content)


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


@pytest.mark.parametrize("name", HOSTILE)
def test_playlists_are_no_recordings(name: str) -> None:
    """They may refer to any file or address, and their demuxers are not among those that are opened."""
    with pytest.raises(AudioError, match="not decodable"):
        audio_io.decode(HOSTILE[name])
    assert not {"hls", "concat", "dash", "sdp", "mpegts"} & set(av_decoder.DEMUXERS)


def test_channels_of_opposite_phase_lose_no_speech() -> None:
    """A hum in opposite phase, or silence in which codecs leave noise, does not decide for what follows."""
    times = np.arange(4 * RATE) / RATE
    hum = 0.01 * np.sin(2 * np.pi * 100 * times) * (times < 0.5)
    speech = 0.3 * np.sin(2 * np.pi * 440 * times) * (times > 1)
    stereo = np.stack([hum, speech - 1.2 * hum], axis=1).astype(np.float32)
    for content in (encode(stereo, rate=RATE), av_files.encode(stereo, "m4a"), av_files.encode(stereo, "webm")):
        with audio_io.open_recording(content) as file:
            assert np.abs(np.concatenate(list(file.mono_blocks()))).max() > 0.14


def test_a_part_of_opposite_phase_does_not_vanish() -> None:
    """Two of ten seconds are in opposite phase."""
    tone = sine(440, seconds=10, amplitude=0.3)
    sign = np.where((np.arange(len(tone)) / RATE > 4) & (np.arange(len(tone)) / RATE < 6), -1, 1)
    with audio_io.open_recording(encode(np.stack([tone, sign * tone], axis=1))) as file:
        mono = np.concatenate(list(file.mono_blocks()))
        assert file.flags == ["opposite_phase"]
    assert level_db(mono[5 * RATE : 5 * RATE + 8000]) == pytest.approx(level_db(tone), abs=0.1)
