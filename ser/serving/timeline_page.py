"""Render a timeline as a figure, and as a self-contained page with a player."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.audio import io as audio_io
from ser.inference.sliding_window import WindowSettings
from ser.inference.timeline import (
    NO_SPEECH,
    OUTLINE_SECONDS,
    Timeline,
    describe_summary,
    format_span,
    merge_equal_windows,
)
from ser.reporting import html_page, plots
from ser.reporting.model_card import LIMITS
from ser.utils.files import write_text

MAX_POINTS = 4000
"""Maximum number of points of the outline in a page."""


def save(timeline: Timeline, stem: Path, *, recording: Path | bytes, name: str, settings: WindowSettings) -> list[Path]:
    """Write ``STEM.png`` and ``STEM.html`` and return their paths.

    The recording is embedded in the page as MP3; titles contain its name.
    """
    figure, page = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "html"))
    ends = [window.end for window in timeline.windows]
    table = pd.DataFrame(
        [window.probabilities for window in timeline.windows], columns=list(timeline.emotions), dtype=float
    ).assign(start=[0.0, *ends[:-1]], end=ends)
    outline, step = _thin_outline(timeline)
    waveform = pd.Series(outline, index=np.arange(len(outline)) * step)
    segments = [(segment.start, segment.end) for segment in timeline.segments]
    headline = describe_summary(timeline.summary)
    plots.plot_timeline(table, waveform, segments, figure, title=f"{name}: {headline}")
    audio = html_page.data_uri(audio_io.to_mp3(recording), kind="audio/mpeg")
    html = html_page.render(
        "timeline.html.j2",
        name=name,
        headline=f"{headline[0].upper()}{headline[1:]}.",
        durations=f"{timeline.summary.seconds:.1f} seconds, {timeline.summary.speech:.1f} seconds of speech.",
        audio=audio,
        window_seconds=settings.window,
        table=_table(timeline),
        limits=LIMITS,
        data=data(timeline),
    )
    write_text(page, html)
    return [figure, page]


def data(timeline: Timeline) -> dict[str, Any]:
    """Return the data that ``timeline.js`` draws."""
    outline, step = _thin_outline(timeline)
    return timeline.as_dict() | {
        "outline": np.round(np.minimum(outline, 1), 3).tolist(),
        "outline_seconds": step,
        "emotions": list(timeline.emotions),
        "colours": plots.label_colours(timeline.emotions),
    }


def _thin_outline(timeline: Timeline) -> tuple[np.ndarray[Any, np.dtype[np.float32]], float]:
    """Reduce the outline to `MAX_POINTS` by maxima, and return it with the seconds per point."""
    size = -(-len(timeline.outline) // MAX_POINTS)
    outline = np.maximum.reduceat(timeline.outline, np.arange(0, len(timeline.outline), size))
    return outline, size * OUTLINE_SECONDS


def _table(timeline: Timeline) -> html_page.Table:
    windows = merge_equal_windows(timeline.windows)
    columns = {
        "emotion": [window.label or NO_SPEECH for window in windows],
        "probability": [window.confidence for window in windows],
    }
    index = pd.Index([format_span(window) for window in windows], name="time")
    frame = pd.DataFrame(columns, index=index).astype({"probability": float})
    caption = "Consecutive windows with the same prediction are merged; probabilities are means."
    return html_page.table(frame, caption=caption, formats={"probability": "{:.0%}".format})
