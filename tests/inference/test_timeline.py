"""A timeline has the windows, segments and outline of a recording, and is written as text, CSV and JSON."""

import csv
import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.inference import timeline
from ser.inference.sliding_window import WindowSettings
from ser.inference.timeline import Timeline
from tests.helpers.fake_model import EMOTIONS, RATE, FakeModel, call, quiet, spoken
from tests.helpers.signals import encode, silence


@pytest.fixture(scope="module")
def result() -> Timeline:
    return timeline.predict_timeline(encode(call(), subtype="FLOAT"), FakeModel(), WindowSettings())


def test_merged_windows_and_segments_match_the_signal(result: Timeline) -> None:
    """The call is sad, has a pause, and is angry."""
    merged = timeline.merge_equal_windows(result.windows)
    assert [window.label for window in merged] == ["sad", None, "angry", None]
    assert (merged[0].start, merged[-1].end) == pytest.approx((0, 14.7))
    ends = [(segment.start, segment.end) for segment in result.segments]
    np.testing.assert_allclose(ends, [(0, 4.9), (9, 13.9)], atol=0.011)


def test_outline_is_the_peak_amplitude(result: Timeline) -> None:
    """Each point is the maximum of 0.05 s, for blocks of any size."""
    signal = np.abs(call())
    blocks = (call()[start : start + 777] for start in range(0, len(signal), 777))
    np.testing.assert_array_equal(
        timeline.predict_blocks(blocks, FakeModel(), WindowSettings()).outline, result.outline
    )
    np.testing.assert_allclose(result.outline, np.maximum.reduceat(signal, np.arange(0, len(signal), 800)), rtol=1e-6)


def test_csv_and_json_have_all_windows(result: Timeline, tmp_path: Path) -> None:
    """Without speech, cells are empty and values null."""
    rows = list(csv.DictReader(io.StringIO(timeline.to_csv(result))))
    content = json.loads(timeline.to_json(result, file="a.wav"))
    assert content == {"file": "a.wav"} | json.loads(json.dumps(result.as_dict()))
    for row, window in zip(rows, result.windows, strict=True):
        assert (float(row["start"]), float(row["end"]), row["label"]) == (window.start, window.end, window.label or "")
        values = [f"{window.probabilities[name]:.6f}" if window.label else "" for name in EMOTIONS]
        assert [row[f"prob_{name}"] for name in EMOTIONS] == values
    paths = timeline.save(result, tmp_path / "call.1", name="a.wav")
    assert [path.name for path in paths] == ["call.1.csv", "call.1.json"]
    assert paths[0].read_text() == timeline.to_csv(result)


def test_text_has_a_line_per_merged_window(result: Timeline) -> None:
    """The first line is the summary; the others have start, end and label."""
    head, *lines = timeline.to_text(result).splitlines()
    assert head.startswith("mostly ")
    assert head.endswith("; 14.7 s, 6.0 s of speech")
    expected = ["0:00.0 to 0:05.0 sad", "0:05.0 to 0:09.0 no", "0:09.0 to 0:14.0 angry", "0:14.0 to 0:14.7 no"]
    assert [" ".join(line.split()[:4]) for line in lines] == expected


@pytest.mark.parametrize("signal", [quiet(3), silence(3)])
def test_recordings_without_speech_have_no_predictions(signal: np.ndarray) -> None:
    """Noise and silence are no errors."""
    result = timeline.predict_timeline(encode(signal), FakeModel(), WindowSettings())
    assert result.summary.label is None
    assert result.segments == ()
    assert json.loads(timeline.to_json(result, file="a.wav"))["label"] is None


def test_long_recordings_are_decoded_in_blocks(tmp_path: Path) -> None:
    """Twenty minutes of stereo at 16 kHz, 154 MB as floats, need less than 40 MB."""
    block = np.stack([spoken(300, seconds=10)] * 2, axis=1)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE, 2, "PCM_16") as file:
        for _ in range(120):
            file.write(block)
    tracemalloc.start()
    result = timeline.predict_timeline(tmp_path / "long.flac", FakeModel(), WindowSettings(hop=3))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.summary.seconds == 1200
    assert peak < 40e6
