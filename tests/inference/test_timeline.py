"""A timeline holds what was heard when, in files that other programs read, in memory that does not grow."""

import csv
import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.audio.io import AudioError
from ser.inference import timeline
from ser.inference.sliding_window import WindowSettings
from ser.inference.timeline import Timeline
from tests.helpers.fake_model import EMOTIONS, RATE, FakeModel, call, quiet, spoken
from tests.helpers.signals import encode, silence


@pytest.fixture(scope="module")
def found() -> Timeline:
    return timeline.predict_timeline(encode(call(), subtype="FLOAT"), FakeModel(), WindowSettings())


def test_a_call_is_sad_then_nobody_then_angry(found: Timeline) -> None:
    """Labels, segments and the table of runs say what was played."""
    assert [run.label for run in timeline.merge_equal_windows(found.windows)] == ["sad", None, "angry", None]
    assert timeline.merge_equal_windows(found.windows)[0].start == 0
    assert timeline.merge_equal_windows(found.windows)[-1].end == pytest.approx(14.7)
    ends = [(segment.start, segment.end) for segment in found.segments]
    np.testing.assert_allclose(ends, [(0, 4.9), (9, 13.9)], atol=0.011)


def test_the_outline_is_the_sound(found: Timeline) -> None:
    """Every 0.05 s have a point, the largest sample in them, however the sound is cut up."""
    signal = np.abs(call())
    pieces = (call()[start : start + 777] for start in range(0, len(signal), 777))
    np.testing.assert_array_equal(timeline.predict_blocks(pieces, FakeModel(), WindowSettings()).outline, found.outline)
    assert len(found.outline) == int(np.ceil(len(signal) / 800))
    assert found.outline[3] == pytest.approx(signal[2400:3200].max())
    assert found.outline[-1] == pytest.approx(signal[(len(found.outline) - 1) * 800 :].max())


def test_csv_and_json_hold_the_windows(found: Timeline, tmp_path: Path) -> None:
    """Both say the same as the object; a window without speech has empty cells and null."""
    rows = list(csv.DictReader(io.StringIO(timeline.to_csv(found))))
    content = json.loads(timeline.to_json(found, file="a.wav"))
    assert len(rows) == len(content["windows"]) == len(found.windows)
    for row, entry, window in zip(rows, content["windows"], found.windows, strict=True):
        assert (float(row["start"]), float(row["end"])) == (window.start, window.end) == (entry["start"], entry["end"])
        assert (row["label"] or None) == window.label == entry["label"]
        assert entry["probabilities"] == window.probabilities
        assert [row[f"p_{name}"] for name in EMOTIONS] == [
            f"{window.probabilities[name]:.6f}" if window.label else "" for name in EMOTIONS
        ]
    assert content["file"] == "a.wav"
    assert content["seconds"] == pytest.approx(14.7)
    paths = timeline.save(found, tmp_path / "call.1", name="a.wav")
    assert [path.name for path in paths] == ["call.1.csv", "call.1.json"]
    assert paths[0].read_text() == timeline.to_csv(found)


def test_a_terminal_shows_a_line_a_run(found: Timeline) -> None:
    """From when to when, what, and how sure; what it came to stands above."""
    head, *lines = timeline.to_text(found).splitlines()
    assert head.startswith("mostly ")
    assert head.endswith("; 14.7 s, 6.0 s of speech")
    assert [line.split()[:4] for line in lines] == [
        ["0:00.0", "to", "0:05.0", "sad"],
        ["0:05.0", "to", "0:09.0", "nobody"],
        ["0:09.0", "to", "0:14.0", "angry"],
        ["0:14.0", "to", "0:14.7", "nobody"],
    ]


@pytest.mark.parametrize(("rate", "kind", "channels"), [(44100, "FLAC", 2), (8000, "WAV", 1), (16000, "OGG", 1)])
def test_any_recording_has_a_timeline(rate: int, kind: str, channels: int) -> None:
    """Rate, channels and format do not matter."""
    times = np.arange(3 * rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 900 * times) * (times % 0.25 < 0.15)
    found = timeline.predict_timeline(
        encode(np.stack([tone] * channels, axis=1), rate=rate, kind=kind), FakeModel(), WindowSettings()
    )
    assert found.summary.label == "angry"
    assert found.windows[-1].end == pytest.approx(3, abs=1e-4)


def test_damage_is_refused() -> None:
    """What ends too soon has no timeline."""
    with pytest.raises(AudioError, match="cut short"):
        timeline.predict_timeline(encode(call())[:-1000], FakeModel(), WindowSettings())


@pytest.mark.parametrize("sound", [quiet(3), silence(3)])
def test_a_room_in_which_nobody_speaks_has_a_timeline_without_answers(sound: np.ndarray) -> None:
    """Noise and silence are no damage: the timeline says that there is no speech."""
    found = timeline.predict_timeline(encode(sound), FakeModel(), WindowSettings())
    assert found.summary.label is None
    assert found.segments == ()
    assert json.loads(timeline.to_json(found, file="a.wav"))["label"] is None


def test_a_long_recording_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    """Twenty minutes of stereo at 16 kHz, 154 MB as floats, take less than 40 MB."""
    part = np.stack([spoken(300, seconds=10)] * 2, axis=1)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE, 2, "PCM_16") as file:
        for _ in range(120):
            file.write(part)
    tracemalloc.start()
    found = timeline.predict_timeline(tmp_path / "long.flac", FakeModel(), WindowSettings(hop_seconds=3))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.summary.seconds == 1200
    assert most < 40e6
