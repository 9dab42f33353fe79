"""Predict the emotions of a recording over time, and write them as text, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.audio.vad import Segment
from ser.inference.model import Model
from ser.inference.sliding_window import SlidingWindowPredictor, Summary, WindowPrediction, WindowSettings, rechunk
from ser.utils.files import write_text

NO_SPEECH = "no speech"
OUTLINE_SECONDS = 0.05
"""Duration of a point of the outline."""


@dataclass(frozen=True)
class Timeline:
    """Predictions for a recording over time.

    Attributes
    ----------
    emotions : tuple of str
        Labels, in the order of the probabilities.
    windows : tuple of WindowPrediction
    segments : tuple of Segment
        Speech segments.
    summary : Summary
    outline : ndarray of shape (n_points,)
        Peak amplitude of every `OUTLINE_SECONDS`.
    """

    emotions: tuple[str, ...]
    windows: tuple[WindowPrediction, ...]
    segments: tuple[Segment, ...]
    summary: Summary
    outline: npt.NDArray[np.float32]

    def as_dict(self) -> dict[str, object]:
        """Convert to a dictionary of plain values, without the outline."""
        parts = {"windows": [asdict(w) for w in self.windows], "segments": [asdict(s) for s in self.segments]}
        return asdict(self.summary) | parts


def predict_timeline(recording: Path | bytes, model: Model, settings: WindowSettings) -> Timeline:
    """Predict the windows of a recording, which is decoded block by block.

    Raises
    ------
    AudioError
        If the recording cannot be decoded. Silence is no error: its windows have no predictions.
    """
    return predict_blocks(audio_io.stream_blocks(recording, rate=model.rate), model, settings)


def predict_blocks(blocks: Iterable[Waveform], model: Model, settings: WindowSettings) -> Timeline:
    """Predict the windows of a signal given as blocks at the model's sample rate; see `predict_timeline`."""
    peaks: list[float] = []

    def with_peaks() -> Iterator[Waveform]:
        for block in rechunk(blocks, size=round(model.rate * OUTLINE_SECONDS)):
            peaks.append(np.abs(block).max())
            yield block

    predictor = SlidingWindowPredictor(model, settings)
    windows = tuple(predictor.windows(with_peaks()))
    outline = np.array(peaks, dtype=np.float32)
    return Timeline(model.labels, windows, tuple(predictor.segments), predictor.summary(), outline)


def merge_equal_windows(windows: Iterable[WindowPrediction]) -> list[WindowPrediction]:
    """Merge consecutive windows with the same label.

    Each starts where the previous one ends; probabilities are means over the merged windows.
    """
    merged: list[WindowPrediction] = []
    for label, group in groupby(windows, key=lambda window: window.label):
        run = list(group)
        means = {name: float(np.mean([w.probabilities[name] for w in run])) for name in run[0].probabilities}
        speech = round(float(np.mean([window.speech for window in run])), 2)
        start = merged[-1].end if merged else 0.0
        merged.append(WindowPrediction(start, run[-1].end, speech, label, means[label] if label else None, means))
    return merged


def to_text(timeline: Timeline) -> str:
    """Format the summary and the merged windows, one per line."""
    summary = timeline.summary
    lines = [f"{describe_summary(summary)}; {summary.seconds:.1f} s, {summary.speech:.1f} s of speech"]
    for window in merge_equal_windows(timeline.windows):
        confidence = "" if window.confidence is None else f"{window.confidence:4.0%}"
        lines.append(f"{format_span(window):>20}  {window.label or NO_SPEECH:<13}  {confidence}".rstrip())
    return "\n".join(lines)


def format_span(window: WindowPrediction) -> str:
    """Format the start and the end of a window in minutes and seconds."""
    tenths = [round(10 * seconds) for seconds in (window.start, window.end)]
    return " to ".join(f"{n // 600}:{n % 600 / 10:04.1f}" for n in tenths)


def describe_summary(summary: Summary) -> str:
    """Describe the prediction for a recording in a few words."""
    if summary.label is None or summary.confidence is None:
        return "no speech detected"
    return f"mostly {summary.label} ({summary.confidence:.0%})"


def to_csv(timeline: Timeline) -> str:
    """Format the windows as CSV; without speech, label and probabilities are empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["start", "end", "speech", "label", "confidence", *(f"prob_{name}" for name in timeline.emotions)])
    for window in timeline.windows:
        values = [window.confidence, *(window.probabilities.get(name) for name in timeline.emotions)]
        digits = ["" if value is None else f"{value:.6f}" for value in values]
        writer.writerow([window.start, window.end, window.speech, window.label, *digits])
    return buffer.getvalue()


def to_json(timeline: Timeline, *, file: str) -> str:
    """Format the timeline, without the outline, and the name of the recording as one line of JSON."""
    return json.dumps({"file": file, **timeline.as_dict()}, allow_nan=False)


def save(timeline: Timeline, stem: Path, *, name: str) -> list[Path]:
    """Write ``STEM.csv`` and ``STEM.json`` atomically and return their paths; `name` is the name of the recording."""
    texts = {"csv": to_csv(timeline), "json": to_json(timeline, file=name) + "\n"}
    paths = [stem.with_name(f"{stem.name}.{suffix}") for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths
