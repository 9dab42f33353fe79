"""Any file becomes a finite clip or is rejected with a reason, in bounded time and memory, without a traceback.

As a script: clean every case, or the files named, and write the outcomes.
"""

import io
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import soundfile

from ser.audio import clean as audio_clean
from ser.audio.headers import MAX_MISSING_BYTES
from ser.audio.io import AudioError
from ser.params import Preprocess
from tests.helpers import factories
from tests.helpers.signals import encode, noise, sine

ROOT = Path(__file__).parents[1]
TONE = sine(440, seconds=0.2)
SUBTYPES = {
    "WAV": "PCM_U8 PCM_16 PCM_24 PCM_32 FLOAT DOUBLE ULAW ALAW IMA_ADPCM MS_ADPCM",
    "WAVEX": "PCM_16 FLOAT",
    "RF64": "PCM_16 FLOAT",
    "AIFF": "PCM_S8 PCM_16 PCM_24 FLOAT ULAW IMA_ADPCM",
    "AU": "PCM_16 PCM_24 FLOAT ULAW G721_32",
    "CAF": "PCM_16 FLOAT ALAC_16",
    "W64": "PCM_16 FLOAT ULAW MS_ADPCM",
    "FLAC": "PCM_S8 PCM_16 PCM_24",
    "OGG": "VORBIS OPUS",
    "MP3": "MPEG_LAYER_III",
}
MAGIC_BYTES = [b"", *b"RIFF RF64 riff FORM .snd caff fLaC OggS".split(), b"ID3\3\0\0", b"\xff\xfb\x90\x64"]
EXTREME_NUMBERS = [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\1", b"\1\0\0\0"]
Cases: TypeAlias = Iterator[tuple[str, bytes]]


def preprocess(**changes: Any) -> Preprocess:
    defaults = {"sample_rate": 16000, "denoise_strength": 0, "min_duration": 0.01, "normalize": "rms"}
    return factories.settings(preprocess=defaults | changes).preprocess


def valid_files() -> dict[str, bytes]:
    pairs = [(kind, subtype) for kind, subtypes in SUBTYPES.items() for subtype in subtypes.split()]
    return {f"{kind} {subtype}": encode(TONE, kind=kind, subtype=subtype) for kind, subtype in pairs}


def valid() -> Cases:
    """Make valid files of every format, rate and number of channels."""
    yield from valid_files().items()
    for rate in (4000, 8000, 11025, 22050, 24414, 44100, 96000, 192000, 384000):
        yield f"{rate} Hz", encode(sine(440, rate=rate, seconds=0.2), rate=rate)
    for channels in range(1, 9):
        yield f"{channels} channels", encode(np.stack([TONE] * channels, axis=1), kind="FLAC")


def truncated() -> Cases:
    """Truncate files after each of their first bytes (fewer for further subtypes of a format) and at random."""
    rng = np.random.default_rng(1)
    kinds = set()
    for name, content in valid_files().items():
        kind = name.split()[0]
        last = len(content) - (13 if kind == "CAF" else 1)
        ends = {*range(0, 110, 11 if kind in kinds else 1), *rng.integers(110, last, size=9).tolist(), last}
        kinds.add(kind)
        ends = {end for end in ends if len(content) - end > MAX_MISSING_BYTES or kind in ("FLAC", "MP3")}
        yield from ((f"{name} {end}", content[:end]) for end in sorted(ends))


def flipped() -> Cases:
    """Flip bits of headers, and replace 32-bit numbers in them by extreme ones."""
    rng = np.random.default_rng(2)
    for name, content in valid_files().items():
        for number in range(16):
            damaged = bytearray(content)
            position = int(rng.integers(min(len(damaged) - 4, 130)))
            if number % 2:
                damaged[position] ^= 1 << int(rng.integers(8))
            else:
                damaged[position : position + 4] = EXTREME_NUMBERS[int(rng.integers(len(EXTREME_NUMBERS)))]
            yield f"{name} {number}", bytes(damaged)


def scattered() -> Cases:
    """Overwrite random bytes."""
    rng = np.random.default_rng(3)
    for name, content in valid_files().items():
        for number in range(4):
            damaged = np.frombuffer(content, dtype=np.uint8).copy()
            damaged[rng.integers(len(damaged), size=30)] = rng.integers(256, size=30)
            yield f"{name} {number}", damaged.tobytes()


def random() -> Cases:
    """Make random files, also after the first bytes of every format."""
    rng = np.random.default_rng(4)
    for number in range(12):
        content = rng.bytes(int(rng.integers(4000)))
        yield from ((f"{magic!r} {number}", magic + content) for magic in MAGIC_BYTES)


def short() -> Cases:
    """Make files of few samples or none."""
    for kind in ("WAV", "FLAC", "AIFF", "OGG"):
        for n_samples in (0, 1, 2, 511, 1600):
            yield f"{kind} {n_samples}", encode(TONE[100 : 100 + n_samples], kind=kind)


GENERATORS: list[Callable[[], Cases]] = [valid, truncated, flipped, scattered, random, short]
SETTINGS = [
    {},
    {"denoise_strength": 0.5, "normalize": "loudness", "min_duration": 1e-6},
    {"normalize": "peak", "trim_top_db": None},
]


def clean(recording: Path | bytes, settings: Preprocess | None = None) -> str:
    """Clean a recording; return "clip" or the reason of its rejection."""
    try:
        clip = audio_clean.clean_and_measure(recording, settings or preprocess())[0][0]
    except AudioError as error:
        return str(error)
    assert (clip.dtype, clip.ndim) == (np.float32, 1)
    assert len(clip) > 0
    assert np.isfinite(clip).all()
    assert np.abs(clip).max() < 1
    return "clip"


def main(paths: list[str]) -> None:
    """Clean the files, or every case with one of the settings; write outcomes, peak memory in MB and CPU seconds."""
    settings = [preprocess(**changes) for changes in SETTINGS]
    outcomes = {path: clean(Path(path), preprocess(denoise_strength=0.5)) for path in paths}
    slowest = 0.0
    for generate in [] if paths else GENERATORS:
        for number, (name, content) in enumerate(generate()):
            start = time.process_time()
            outcomes[f"{generate.__name__}: {name}"] = clean(content, settings[number % len(settings)])
            slowest = max(slowest, time.process_time() - start)
    # Unlike getrusage, this does not include the memory of the parent process.
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    json.dump({"outcomes": outcomes, "megabytes": int(peak[1]) / 1024, "slowest": slowest}, sys.stdout)


def run(*paths: Path) -> Any:
    """Run this file as a script, which may crash or hang."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, paths)],
        timeout=300,
        capture_output=True,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def result() -> Any:
    return run()


def outcomes(result: Any, generator: str) -> dict[str, str]:
    return {name: outcome for name, outcome in result["outcomes"].items() if name.startswith(f"{generator}:")}


def test_every_file_is_a_clip_or_has_a_reason(result: Any) -> None:
    """No file ends or delays the process, takes much memory, or has a reason of several lines."""
    assert len(result["outcomes"]) > 2000
    assert [reason for reason in result["outcomes"].values() if "\n" in reason or not 3 < len(reason) < 200] == []
    assert result["megabytes"] < 1000
    assert result["slowest"] < 10


def test_valid_files_are_clips_and_truncated_files_are_not(result: Any) -> None:
    """OGG declares no length, so that its truncation is not detected."""
    assert {name: outcome for name, outcome in outcomes(result, "valid").items() if outcome != "clip"} == {}
    clips = [name for name, outcome in outcomes(result, "truncated").items() if outcome == "clip"]
    assert [name for name in clips if "OGG" not in name] == []


@pytest.mark.parametrize("generator", ["flipped", "scattered", "short"])
def test_some_damaged_files_are_clips(result: Any, generator: str) -> None:
    """The cases are neither harmless nor all unreadable."""
    assert {outcome == "clip" for outcome in outcomes(result, generator).values()} == {True, False}


def wav(**changes: int) -> bytes:
    """Make a WAV file of a tone with other numbers in its header."""
    values = {"riff": 6436, "fmt": 16, "tag": 1, "channels": 1, "rate": 16000, "bytes": 32000, "align": 2, "bits": 16}
    riff, *fmt, data = (values | {"data": 6400} | changes).values()
    header = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", riff, b"WAVEfmt ", *fmt, b"data", data)
    return header + (TONE * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"channels": 0}, "not decodable"),
        ({"channels": 33, "align": 66}, "33; expected at most 32"),
        ({"rate": 3999}, "3999 Hz; expected 4000 to 384000"),
        ({"rate": 384001}, "384001 Hz"),
        ({"data": 0}, "clip"),
        ({"data": 6444}, "clip"),  # recorders that count the header
        ({"data": 7000}, "truncated: the header declares 7000 bytes (0.22 s), the file has 6400 (0.20 s)"),
        ({"data": 2**31 - 2**25}, "truncated"),
        ({"data": 2**31 - 4096}, "clip"),  # what SoX writes to a pipe
        ({"data": 2**31}, "clip"),  # arecord
        ({"data": 2**32 - 1}, "clip"),  # FFmpeg
        ({"riff": 0}, "clip"),
        ({"riff": 2**32 - 1}, "clip"),
        ({"align": 0}, "clip"),
    ],
    ids=str,
)
def test_invalid_headers(changes: dict[str, int], expected: str) -> None:
    """Invalid numbers are rejected with their values, and those without effect are ignored."""
    assert expected in clean(wav(**changes))


@pytest.mark.parametrize(("sample", "reason"), [(-np.inf, "not numbers"), (3e38, "up to 3.0e"), (1e300, "not numbers")])
def test_invalid_values(sample: float, reason: str) -> None:
    """Infinity and values whose square is infinite are rejected."""
    stereo = np.stack([TONE, TONE], axis=1).astype(np.float64)
    stereo[1000] = sample
    assert reason in clean(encode(stereo, subtype="DOUBLE"))


def mp3(*, mode: str = "CONSTANT", rising: bool = False) -> bytes:
    signal = noise(seconds=3) * (np.linspace(0, 1, 48000) ** 3 if rising else 1)
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, 16000, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return buffer.getvalue()


def without_first_frame(content: bytes) -> bytes:
    """Remove the frame of an MP3 (MPEG 2, 16 kHz) that declares its length."""
    rate = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160][content[2] >> 4]
    return content[72 * rate * 1000 // 16000 :]


ID3_TAG = b"ID3\x03\0\0\0\0\x02\0" + bytes(256)
"""A tag of 256 bytes; its size has 7 bits per byte."""


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_truncated_mp3_with_a_length(mode: str) -> None:
    """A Xing or Info header declares the number of samples, also after a tag."""
    for content in (mp3(mode=mode), ID3_TAG + mp3(mode=mode)):
        assert clean(content) == clean(content + b"TAG" + bytes(125)) == "clip"
        assert "48000 samples" in clean(content[:-1])
        assert clean(content[: len(content) // 2]).startswith("truncated")


def test_mp3_without_a_length() -> None:
    """It is decoded to its end, or rejected if libsndfile stops at a length estimated from the first bit rate."""
    constant = without_first_frame(mp3())
    for content in (constant, constant[: len(constant) // 2], without_first_frame(mp3(mode="VARIABLE", rising=True))):
        assert clean(content) == "clip"
    assert "MP3 of unknown length" in clean(without_first_frame(mp3(mode="VARIABLE")))


@pytest.mark.parametrize(("kind", "position", "size"), [("AU", 8, 4), ("W64", 16, 8)])
def test_unknown_length_is_not_a_truncation(kind: str, position: int, size: int) -> None:
    """Programs that write to a pipe set all bits of the length."""
    content = encode(TONE, kind=kind)
    assert clean(content[:position] + b"\xff" * size + content[position + size :]) == "clip"


def test_special_files_are_rejected(tmp_path: Path) -> None:
    """A pipe, an endless device, a folder and a broken link do not block."""
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "broken.wav").symlink_to(tmp_path / "missing")
    reasons = {path.stem: clean(path) for path in tmp_path.iterdir()}
    assert reasons.pop("broken") == "cannot be read: No such file or directory"
    assert all("expected a file" in reason for reason in reasons.values())


def test_memory_does_not_grow_with_duration(tmp_path: Path) -> None:
    """Three minutes at 48 kHz with 16 channels would take 0.55 GB as floats, and twice that while joined."""
    file, channels, n_samples = tmp_path / "long.wav", 16, 180 * 48000
    tone = np.stack([(sine(440, rate=48000) * 32767).astype("<i2")] * channels, axis=1).tobytes()
    size = n_samples * channels * 2
    header = wav(riff=size + 36, channels=channels, rate=48000, bytes=1536000, align=32, data=size)[:44]
    with file.open("wb") as written:  # a sparse file
        written.write(header + tone)
        written.seek(44 + size - len(tone))
        written.write(tone)
    result = run(file)
    assert list(result["outcomes"].values()) == ["clip"]
    assert result["megabytes"] < 700


if __name__ == "__main__":
    main(sys.argv[1:])
