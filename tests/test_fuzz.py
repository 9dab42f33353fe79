"""Whatever a file holds, it becomes a finite clip or one reason, soon, in little memory, and no traceback is printed.

As a script: clean every case, or the files named, and write what became of each.
"""

import io
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser.audio import clean as audio_clean
from ser.audio import io as audio_io
from ser.audio.io import AudioError
from ser.corpora.base import load_corpus
from ser.dataset.preprocess import PreprocessingLog, make_clips
from ser.dataset.recordings import list_recordings
from ser.params import Preprocess
from tests.helpers import factories
from tests.helpers.signals import encode, noise, ravdess_names, sine

ROOT = Path(__file__).parents[1]
TONE = sine(440, seconds=0.2)
KINDS = {
    "WAV": ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"],
    "WAVEX": ["PCM_16", "FLOAT"],
    "RF64": ["PCM_16", "FLOAT"],
    "AIFF": ["PCM_S8", "PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"],
    "AU": ["PCM_16", "PCM_24", "FLOAT", "ULAW", "G721_32"],
    "CAF": ["PCM_16", "FLOAT", "ALAC_16"],
    "W64": ["PCM_16", "FLOAT", "ULAW", "MS_ADPCM"],
    "FLAC": ["PCM_S8", "PCM_16", "PCM_24"],
    "OGG": ["VORBIS", "OPUS"],
    "MP3": ["MPEG_LAYER_III"],
}
MARKS = [
    b"",
    b"RIFF",
    b"RF64",
    b"riff",
    b"FORM",
    b".snd",
    b"caff",
    b"fLaC",
    b"OggS",
    b"ID3\x03\0\0",
    b"\xff\xfb\x90\x64",
]
WORDS = [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\1", b"\1\0\0\0"]


def preprocess(**changes: Any) -> Preprocess:
    quick = {"sample_rate": 16000, "denoise_strength": 0, "min_duration": 0.01, "normalize": "rms"}
    return factories.settings(preprocess=quick | changes).preprocess


def files() -> dict[str, bytes]:
    """Make a whole file of every kind."""
    pairs = [(kind, subtype) for kind, subtypes in KINDS.items() for subtype in subtypes]
    return {f"{kind} {subtype}": encode(TONE, kind=kind, subtype=subtype) for kind, subtype in pairs}


def whole() -> Iterator[tuple[str, bytes]]:
    """Make files that are as they should be: every kind, rate and number of channels."""
    yield from files().items()
    for rate in (4000, 8000, 11025, 22050, 24414, 44100, 96000, 192000, 384000):
        yield f"{rate} Hz", encode(sine(440, rate=rate, seconds=0.2), rate=rate)
    for channels in range(1, 9):
        yield f"{channels} channels", encode(np.stack([TONE] * channels, axis=1), kind="FLAC")


def cut() -> Iterator[tuple[str, bytes]]:
    """End files after every one of their first bytes (where another of the kind did: some), and further on."""
    rng = np.random.default_rng(1)
    seen = set()
    for name, content in files().items():
        kind = name.split()[0]
        last = len(content) - (13 if kind == "CAF" else 1)
        ends = {*range(0, 110, 11 if kind in seen else 1), *rng.integers(110, last, size=9).tolist(), last}
        seen.add(kind)
        yield from ((f"{name} {end}", content[:end]) for end in sorted(ends))


def flipped() -> Iterator[tuple[str, bytes]]:
    """Turn bits of headers round, and words of them into extreme numbers."""
    rng = np.random.default_rng(2)
    for name, content in files().items():
        for number in range(16):
            bad = bytearray(content)
            place = int(rng.integers(min(len(bad) - 4, 130)))
            if number % 2:
                bad[place] ^= 1 << int(rng.integers(8))
            else:
                bad[place : place + 4] = WORDS[int(rng.integers(len(WORDS)))]
            yield f"{name} {number}", bytes(bad)


def scattered() -> Iterator[tuple[str, bytes]]:
    """Overwrite bytes anywhere."""
    rng = np.random.default_rng(3)
    for name, content in files().items():
        for number in range(4):
            bad = np.frombuffer(content, dtype=np.uint8).copy()
            bad[rng.integers(len(bad), size=30)] = rng.integers(256, size=30)
            yield f"{name} {number}", bad.tobytes()


def random() -> Iterator[tuple[str, bytes]]:
    """Put noise behind the first bytes of every format, and behind none."""
    rng = np.random.default_rng(4)
    for number in range(12):
        content = rng.bytes(int(rng.integers(4000)))
        yield from ((f"{mark!r} {number}", mark + content) for mark in MARKS)


def lengths() -> Iterator[tuple[str, bytes]]:
    """Make files of no sample, of one, and of a few."""
    for kind in ("WAV", "FLAC", "AIFF", "OGG"):
        for n_samples in (0, 1, 2, 511, 1600):
            yield f"{kind} {n_samples}", encode(TONE[100 : 100 + n_samples], kind=kind)


WAYS: list[Callable[[], Iterator[tuple[str, bytes]]]] = [whole, cut, flipped, scattered, random, lengths]
SETTINGS = [
    {},
    {"denoise_strength": 0.5, "normalize": "loudness", "min_duration": 1e-6},
    {"normalize": "peak", "trim_top_db": None},
]


def outcome(recording: Path | bytes, settings: Preprocess) -> str:
    """Clean a recording: "clip" or the reason why not."""
    try:
        clip = audio_clean.clean(recording, settings)
    except AudioError as error:
        return str(error)
    assert clip.dtype == np.float32
    assert clip.ndim == 1
    assert len(clip) > 0
    assert np.isfinite(clip).all()
    return "clip"


def main(paths: list[str]) -> None:
    """Clean the files named, or every case in turn with one of the settings; write outcomes, MB and (CPU) seconds."""
    settings = [preprocess(**changes) for changes in SETTINGS]
    outcomes = {path: outcome(Path(path), preprocess(denoise_strength=0.5)) for path in paths}
    slowest = 0.0
    for way in [] if paths else WAYS:
        for number, (name, content) in enumerate(way()):
            start = time.process_time()
            outcomes[f"{way.__name__}: {name}"] = outcome(content, settings[number % len(settings)])
            slowest = max(slowest, time.process_time() - start)
    json.dump({"outcomes": outcomes, "megabytes": peak_megabytes(), "slowest": slowest}, sys.stdout)


def peak_megabytes() -> float:
    """Read how much memory this program had at most; getrusage would count what the tests had when they started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024


def run(*paths: Path, seconds: float) -> Any:
    """Run this file as a script, which may crash or hang without the tests doing so."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, paths)],
        timeout=seconds,
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
    return run(seconds=300)


def of(result: Any, way: str) -> dict[str, str]:
    return {name: found for name, found in result["outcomes"].items() if name.startswith(f"{way}:")}


def test_any_file_ends_as_a_clip_or_with_a_reason(result: Any) -> None:
    """No file ends a process, hangs, takes more than a few hundred MB or gives a reason of several lines."""
    assert len(result["outcomes"]) > 2000
    assert [found for found in result["outcomes"].values() if "\n" in found or not 3 < len(found) < 200] == []
    assert result["megabytes"] < 1000
    assert result["slowest"] < 10


def test_whole_files_become_clips(result: Any) -> None:
    """Every kind, rate and number of channels that is announced as taken is taken."""
    assert {name: found for name, found in of(result, "whole").items() if found != "clip"} == {}


def test_a_cut_file_is_refused(result: Any) -> None:
    """Wherever a file ends too soon, it is no clip, but for OGG, which announces no length."""
    clips = [name for name, found in of(result, "cut").items() if found == "clip" and "OGG" not in name]
    assert clips == []


@pytest.mark.parametrize("way", ["flipped", "scattered", "lengths"])
def test_damage_has_either_end(result: Any, way: str) -> None:
    """Some damaged files can be read and some cannot; the cases are neither harmless nor hopeless."""
    assert {found == "clip" for found in of(result, way).values()} == {True, False}


def header(**changes: int) -> bytes:
    """Make a WAV of a tone, some numbers of its header replaced."""
    fields = {"riff": 6436, "fmt": 16, "tag": 1, "channels": 1, "rate": 16000, "bytes": 32000, "align": 2, "bits": 16}
    values = fields | {"data": 6400} | changes
    numbers = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", *_split(values))
    return numbers + (TONE * 32767).astype("<i2").tobytes()


def _split(values: dict[str, int]) -> list[Any]:
    numbers = list(values.values())
    return [numbers[0], b"WAVEfmt ", *numbers[1:8], b"data", numbers[8]]


BROKEN = "not decodable as audio: "
ABSURD: list[tuple[dict[str, int], str]] = [
    ({"channels": 0}, BROKEN),
    ({"channels": 65535}, BROKEN),
    ({"channels": 33, "align": 66}, "its header says 33 channels; at most 32"),
    ({"rate": 0}, BROKEN),
    ({"rate": 1}, "its header says 1 Hz; rates from 4000 to 384000 Hz are taken"),
    ({"rate": 7}, "its header says 7 Hz"),
    ({"rate": 3999}, "its header says 3999 Hz"),
    ({"rate": 384001}, "its header says 384001 Hz"),
    ({"rate": 2_000_000}, "its header says 2000000 Hz"),
    ({"rate": 2**31 - 1}, "its header says 2147483647 Hz"),
    ({"rate": 2**32 - 1}, BROKEN),
    ({"data": 0}, "holds no samples"),
    ({"data": 6401}, "cut short: the header announces 6401 bytes, the file holds 6400"),
    ({"data": 2**31 - 2**25}, "cut short"),
    ({"data": 2**31 - 4096}, "clip"),  # what SoX writes to a pipe
    ({"data": 2**31}, "clip"),  # arecord
    ({"data": 2**32 - 1}, "clip"),  # FFmpeg
    ({"riff": 0}, "clip"),
    ({"riff": 2**32 - 1}, "clip"),
    ({"align": 0}, "clip"),
    ({"bits": 0}, BROKEN),
    ({"bits": 64}, BROKEN),
    ({"fmt": 2**32 - 1}, BROKEN),
    ({"tag": 0xFFFE}, BROKEN),
]


@pytest.mark.parametrize(("changes", "expected"), ABSURD, ids=str)
def test_absurd_headers_give_a_clip_or_their_reason(changes: dict[str, int], expected: str) -> None:
    """Numbers that no recording has are refused by what they are; those that do not matter are passed over."""
    assert outcome(header(**changes), preprocess()).startswith(expected)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [(np.nan, "not numbers"), (-np.inf, "not numbers"), (3e38, "up to 3.0e"), (1e300, "not numbers")],
)
def test_values_that_are_no_samples_are_refused(sample: float, reason: str) -> None:
    """What is not a number, or so large that its square is infinite, never comes as far as a filter."""
    stereo = np.stack([TONE, TONE], axis=1).astype(np.float64)
    stereo[1000] = sample
    assert reason in outcome(encode(stereo, subtype="DOUBLE"), preprocess())


@pytest.mark.parametrize("scale", [1e-3, 2**15, 2**31])
def test_whole_numbers_as_floats_are_samples(scale: float) -> None:
    """A file may hold 16 or 32 bits as floats that were never divided: it is the same clip."""
    clip = audio_clean.clean(encode(TONE * scale, subtype="DOUBLE"), preprocess())
    np.testing.assert_allclose(clip, audio_clean.clean(encode(TONE, subtype="DOUBLE"), preprocess()), atol=1e-6)


def mp3(*, mode: str = "CONSTANT", rising: bool = False) -> bytes:
    signal = noise(seconds=3) * (np.linspace(0, 1, 48000) ** 3 if rising else 1)
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, 16000, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return buffer.getvalue()


def without_first_frame(content: bytes) -> bytes:
    """Take the frame away in which an MP3 (MPEG 2, 16 kHz) announces its length."""
    rate = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160][content[2] >> 4]
    return content[72 * rate * 1000 // 16000 :]


TAG = b"ID3\x03\0\0\0\0\x02\0" + bytes(256)
"""An ID3v2 tag of 256 bytes; its size is in 7 bits a byte."""


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_a_cut_mp3_is_refused_where_its_length_is_known(mode: str) -> None:
    """A Xing or Info header announces the samples, behind a tag too; without one, what is there is taken."""
    for content in (mp3(mode=mode), TAG + mp3(mode=mode)):
        assert outcome(content, preprocess()) == "clip"
        assert outcome(content + b"TAG" + bytes(125), preprocess()) == "clip"
        assert outcome(content[:-1], preprocess()).startswith("cut short: the header announces 48000 samples")
        assert outcome(content[: len(content) // 2], preprocess()).startswith("cut short")


def test_an_mp3_that_announces_no_length_is_read_to_its_end_or_refused() -> None:
    """A length guessed from the first frame's bit rate may be too small, and the rest lost without a word."""
    constant = without_first_frame(mp3())
    for content in (constant, constant[: len(constant) // 2], without_first_frame(mp3(mode="VARIABLE", rising=True))):
        assert outcome(content, preprocess()) == "clip"
    falling = without_first_frame(mp3(mode="VARIABLE"))
    assert outcome(falling, preprocess()).startswith("an MP3 of unknown length")


@pytest.mark.parametrize(("kind", "place"), [("AU", 8), ("W64", 16)])
def test_a_length_left_open_is_no_cut(kind: str, place: int) -> None:
    """All bits set in the place of a length is how a program that writes to a pipe says that it did not know."""
    content = encode(TONE, kind=kind)
    size = 4 if kind == "AU" else 8
    assert outcome(content[:place] + b"\xff" * size + content[place + size :], preprocess()) == "clip"


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe that nobody writes to, a device without an end, a folder and a link to nowhere do not hold up a run."""
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "nowhere.wav").symlink_to(tmp_path / "gone")
    reasons = {path.stem: outcome(path, preprocess()) for path in tmp_path.iterdir()}
    assert reasons.pop("nowhere") == "cannot be read: No such file or directory"
    assert set(reasons.values()) == {"is no file, but a folder, a pipe or a device"}


def test_a_corpus_of_broken_files_is_accounted_for(tmp_path: Path) -> None:
    """Of fuzzed files under real names each becomes a clip or is named with its reason; the counts add up."""
    contents = [content for way in WAYS for _, content in list(way())[::17]]
    names = [f"{name}.wav" for name in ravdess_names(len(contents))]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    outcome = PreprocessingLog()
    recordings = list_recordings(tmp_path, load_corpus("ravdess").parse, grammar="ravdess")
    clips = list(chain.from_iterable(make_clips(tmp_path, recordings, preprocess(), corpus="ravdess", outcome=outcome)))
    usable = [f"{clip['clip_id'].removeprefix('ravdess/')}.wav" for clip in clips]
    assert Counter(usable + [one.file for one in outcome.unusable]) == Counter(names)
    assert all(one.reason for one in outcome.unusable)
    unusable = len(outcome.unusable)
    assert outcome.counts() == {"recordings": len(names), "usable": len(clips), "unusable": unusable}
    assert len(clips) > 3
    assert all(np.isfinite(audio_io.from_flac(clip["audio"])).all() for clip in clips)


def test_a_long_recording_is_never_in_memory_as_it_is(tmp_path: Path) -> None:
    """Three minutes of 48 kHz and 16 channels, 0.55 GB as floats (twice that where they are joined), take less."""
    file, channels, n_samples = tmp_path / "long.wav", 16, 180 * 48000
    tone = np.stack([(sine(440, rate=48000) * 32767).astype("<i2")] * channels, axis=1).tobytes()
    size = n_samples * channels * 2
    numbers = header(riff=size + 36, channels=channels, rate=48000, bytes=1536000, align=32, data=size)[:44]
    with file.open("wb") as written:  # nothing between is nothing on the disk, too
        written.write(numbers + tone)
        written.seek(44 + size - len(tone))
        written.write(tone)
    result = run(file, seconds=300)
    assert list(result["outcomes"].values()) == ["clip"]
    assert result["megabytes"] < 700


if __name__ == "__main__":
    main(sys.argv[1:])
