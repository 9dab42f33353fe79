"""What a long recording says from second to second: windows, where somebody speaks, and an outline of the sound."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.audio.vad import Segment
from ser.inference.sliding_window import Model, SlidingWindowPredictor, Summary, WindowPrediction, WindowSettings
from ser.utils.files import write_text

NO_SPEECH = "nobody speaks"
OUTLINE_SECONDS = 0.05
"""What a point of the outline spans."""


@dataclass(frozen=True)
class Timeline:
    """What became of a recording.

    Attributes
    ----------
    emotions
        In the order of every window's probabilities.
    windows, segments, summary
        Answers, where somebody speaks, and what it all came to.
    outline : (n_points,) float32
        The largest sample, either side of zero, of every 0.05 s.
    """

    emotions: tuple[str, ...]
    windows: tuple[WindowPrediction, ...]
    segments: tuple[Segment, ...]
    summary: Summary
    outline: npt.NDArray[np.float32]

    def as_dict(self) -> dict[str, object]:
        """Write it as plain values, without the outline."""
        return {
            **self.summary.as_dict(),
            "windows": [window.as_dict() for window in self.windows],
            "segments": [vars(segment) for segment in self.segments],
        }


def predict_timeline(recording: Path | bytes, model: Model, layout: WindowSettings) -> Timeline:
    """Judge a recording from second to second, in memory that does not grow with its sound.

    Raises
    ------
    AudioError
        If it is no audio, or is damaged. Silence is a recording, and has no answers.
    """
    return predict_blocks(audio_io.stream_blocks(recording, rate=model.rate), model, layout)


def predict_blocks(blocks: Iterable[Waveform], model: Model, layout: WindowSettings) -> Timeline:
    """Judge a signal that comes in blocks at the model's rate; see `predict_timeline`."""
    outline = _PeakEnvelope(size=round(model.rate * OUTLINE_SECONDS))
    watch = SlidingWindowPredictor(model, layout)
    windows = tuple(watch.windows(outline.drawn(blocks)))
    return Timeline(tuple(model.emotions), windows, tuple(watch.segments), watch.summary(), outline.points())


class _PeakEnvelope:
    """Draws a signal that passes by in blocks."""

    def __init__(self, *, size: int) -> None:
        self._size, self._points = size, [np.empty(0, dtype=np.float32)]

    def drawn(self, blocks: Iterable[Waveform]) -> Iterator[Waveform]:
        rest = np.empty(0, dtype=np.float32)
        for block in blocks:
            yield block
            joined = np.concatenate([rest, np.abs(block)])
            whole = len(joined) - len(joined) % self._size
            self._points.append(joined[:whole].reshape(-1, self._size).max(axis=1))
            rest = joined[whole:]
        if len(rest):
            self._points.append(rest.max(keepdims=True))

    def points(self) -> npt.NDArray[np.float32]:
        return np.concatenate(self._points)


def merge_equal_windows(windows: Iterable[WindowPrediction]) -> list[WindowPrediction]:
    """Join windows whose answer is the same, for a short table: each hop counts for the window that ends with it.

    Returns
    -------
    list of Window
        From the end of the window before to the end of the last that is joined; the answer's mean probabilities.
    """
    joined: list[list[WindowPrediction]] = []
    for window in windows:
        if joined and joined[-1][-1].label == window.label:
            joined[-1].append(window)
        else:
            joined.append([window])
    starts = [0.0, *(run[-1].end for run in joined)]
    return [_run(run, start=start) for run, start in zip(joined, starts, strict=False)]


def _run(windows: list[WindowPrediction], *, start: float) -> WindowPrediction:
    first, label = windows[0], windows[0].label
    means = {name: float(np.mean([w.probabilities[name] for w in windows])) for name in first.probabilities}
    speech = float(np.mean([window.speech for window in windows]))
    return WindowPrediction(start, windows[-1].end, round(speech, 2), label, means[label] if label else None, means)


def to_text(timeline: Timeline) -> str:
    """Write what it came to and the joined windows, a line each, for a terminal."""
    summary = timeline.summary
    head = f"{describe_summary(summary)}; {summary.seconds:.1f} s, {summary.speech:.1f} s of speech"
    lines = [
        f"{span(run):>20}  {run.label or NO_SPEECH:<13}  {_per_cent(run.confidence)}"
        for run in merge_equal_windows(timeline.windows)
    ]
    return "\n".join(line.rstrip() for line in [head, *lines])


def span(window: WindowPrediction) -> str:
    """Write from when to when, in minutes and seconds."""
    return f"{_clock(window.start)} to {_clock(window.end)}"


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{share:4.0%}"


def describe_summary(summary: Summary) -> str:
    """Say what a recording came to, in a few words."""
    if summary.label is None or summary.confidence is None:
        return "no speech was found"
    return f"mostly {summary.label} ({summary.confidence:.0%})"


def to_csv(timeline: Timeline) -> str:
    """Write a row a window; what has no answer is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["start", "end", "speech", "label", "confidence", *(f"p_{name}" for name in timeline.emotions)])
    for window in timeline.windows:
        answer = [window.probabilities.get(name) for name in timeline.emotions]
        writer.writerow(
            [window.start, window.end, window.speech, window.label, *map(_digits, [window.confidence, *answer])]
        )
    return buffer.getvalue()


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def to_json(timeline: Timeline, *, file: str) -> str:
    """Write everything but the outline, and the recording's name, in one line."""
    return json.dumps({"file": file, **timeline.as_dict()}, allow_nan=False)


def save(timeline: Timeline, stem: Path, *, name: str) -> list[Path]:
    """Write ``STEM.csv`` and ``STEM.json``, each whole or not at all, and say where; `name` is the recording's."""
    paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in ("csv", "json")]
    for path, text in zip(paths, (to_csv(timeline), to_json(timeline, file=name) + "\n"), strict=True):
        write_text(path, text)
    return paths
