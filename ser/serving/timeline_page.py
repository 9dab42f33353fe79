"""A timeline to look at: a picture, and a page in one file whose player runs along the ribbons."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.audio import io as audio_io
from ser.inference.sliding_window import WindowSettings
from ser.inference.timeline import NO_SPEECH, OUTLINE_SECONDS, Timeline, describe_summary, merge_equal_windows, span
from ser.reporting import html_page, plots
from ser.reporting.model_card import LIMITS
from ser.utils.files import write_text

MOST_POINTS = 4000
"""Of an outline in a page; no screen has more."""


def save(timeline: Timeline, stem: Path, *, recording: Path | bytes, name: str, layout: WindowSettings) -> list[Path]:
    """Write ``STEM.png`` and ``STEM.html``, and say where.

    Parameters
    ----------
    timeline
        Of the recording.
    stem
        Paths without their suffixes.
    recording
        What the page plays, as MP3.
    name
        Of the recording, for titles.
    layout
        Which windows were judged.
    """
    picture, page = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("png", "html"))
    draw(timeline, picture, title=f"{name}: {describe_summary(timeline.summary)}")
    sound = html_page.data_uri(audio_io.to_mp3(recording), kind="audio/mpeg")
    write_text(page, html(timeline, name=name, sound=sound, layout=layout))
    return [picture, page]


def draw(timeline: Timeline, path: Path, *, title: str) -> None:
    """Draw the sound and a ribbon an emotion as PNG."""
    answers = [window.probabilities for window in timeline.windows]
    table = pd.DataFrame(answers, columns=list(timeline.emotions), dtype=float)
    ends = [window.end for window in timeline.windows]
    places = table.assign(start=[0.0, *ends[:-1]], end=ends)
    outline, step = _outline(timeline)
    sound = pd.Series(outline, index=np.arange(len(outline)) * step)
    plots.plot_timeline(places, sound, [(part.start, part.end) for part in timeline.segments], path, title=title)


def html(timeline: Timeline, *, name: str, sound: str, layout: WindowSettings) -> str:
    """Make the page; `sound` is an address that holds the recording."""
    summary = timeline.summary
    return html_page.render(
        "timeline.html.j2",
        name=name,
        headline=f"{describe_summary(summary)[0].upper()}{describe_summary(summary)[1:]}.",
        remainder=f"{summary.seconds:.1f} seconds, {summary.speech:.1f} of them loud enough to be speech.",
        sound=sound,
        window_seconds=layout.window_seconds,
        runs=_runs(timeline),
        limits=LIMITS,
        data=data(timeline),
    )


def data(timeline: Timeline) -> dict[str, Any]:
    """Hand over to ``ribbons.js`` what it draws."""
    outline, step = _outline(timeline)
    shown = {"outline": np.round(np.minimum(outline, 1), 3).tolist(), "outline_seconds": step}
    return (
        timeline.as_dict()
        | shown
        | {
            "emotions": list(timeline.emotions),
            "colours": plots.label_colours(timeline.emotions),
        }
    )


def _outline(timeline: Timeline) -> tuple[np.ndarray[Any, np.dtype[np.float32]], float]:
    """Thin the outline, so that no peak is lost."""
    size = -(-len(timeline.outline) // MOST_POINTS)
    thinned = np.maximum.reduceat(timeline.outline, np.arange(0, len(timeline.outline), size))
    return thinned, size * OUTLINE_SECONDS


def _runs(timeline: Timeline) -> html_page.Table:
    joined = merge_equal_windows(timeline.windows)
    names = pd.Index([span(run) for run in joined], name="time")
    columns = {"answer": [run.label or NO_SPEECH for run in joined], "probability": [run.confidence for run in joined]}
    frame = pd.DataFrame(columns, index=names).astype({"probability": float})
    caption = "Answers that are the same are joined; the probability is their mean."
    return html_page.table(frame, caption=caption, formats={"probability": "{:.0%}".format})
