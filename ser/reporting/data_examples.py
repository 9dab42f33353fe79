"""Plot and play example clips of a corpus before and after preprocessing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ser.audio import effects
from ser.dataset.clips import read_audio
from ser.features.frame_features import FrameAnalysis
from ser.params import Features
from ser.reporting import data_plots, html_page
from ser.reporting.data_tables import SEXES, CorpusTables
from ser.reporting.players import decode_beginning
from ser.utils import seeding
from ser.utils.text import shorten

N_EXAMPLES = 3
"""Number of examples per corpus."""
LIMITS: dict[str, Any] = {"max_seconds": 10.0, "max_bytes": 480_000, "max_rate": 48000}
"""Limits of a player, of `ser.reporting.players.decode_beginning`; at 48 kHz, 5 s."""


def select_examples(clips: pd.DataFrame) -> pd.DataFrame:
    """Select clips that differ in speaker, emotion and sex as far as possible, independent of the order of rows."""
    order = [seeding.derive_seed(0, "example", clip_id) for clip_id in clips.clip_id]
    remaining = clips.assign(order=order).sort_values(["order", "clip_id"], ignore_index=True)
    selected = remaining.iloc[:0]
    for _ in range(min(N_EXAMPLES, len(remaining))):
        n_equal = sum(remaining[name].isin(selected[name]).astype(int) for name in ("speaker", "emotion", "sex"))
        best = remaining.loc[[n_equal.idxmin()]]
        selected, remaining = pd.concat([selected, best]), remaining.drop(best.index)
    return selected.drop(columns="order").reset_index(drop=True)


def make_examples(
    rows: pd.DataFrame, source: CorpusTables, *, pictures: Path, features: Features
) -> list[dict[str, Any]]:
    """Plot and embed examples of a corpus, each with a picture and players before and after preprocessing.

    Parameters
    ----------
    rows
        Rows of the corpus, of `ser.reporting.data_tables.join_tables`.
    pictures
        Folder for the PNGs.
    features
        Settings of the log-mel spectrograms.

    Raises
    ------
    AudioError
        If a recording cannot be decoded.
    """
    selected = select_examples(rows[rows.file.notna()])
    audio = read_audio(source.clips, list(selected.clip_id)) if len(selected) else {}
    return [
        _example(
            clip,
            recordings=(source.folder / clip["file"], audio[clip["clip_id"]]),
            path=pictures / f"example_{clip['corpus']}_{n}.png",
            features=features,
        )
        for n, clip in enumerate(selected.to_dict("records"), start=1)
    ]


def _example(
    clip: Mapping[Any, Any], *, recordings: tuple[Path, bytes], path: Path, features: Features
) -> dict[str, Any]:
    speaker = clip["speaker"].removeprefix(f"{clip['corpus']}-") or "unknown"
    sex = f" ({SEXES[clip['sex']]})" if clip["sex"] in ("f", "m") else ""
    name = f"{clip['file']}: {clip['emotion']}, speaker {speaker}{sex}"
    signals = [decode_beginning(recording, **LIMITS)[:2] for recording in recordings]
    highest = max(rate for _, rate in signals)  # one frequency scale for both spectrograms
    columns = {"before": ("original_rate", "duration"), "after": ("clip_rate", "clip_duration")}
    panels, players = [], []
    for (stage, (rate_column, duration_column)), (signal, rate) in zip(columns.items(), signals, strict=True):
        frames = FrameAnalysis(effects.resample(signal, rate=rate, to=highest), rate=highest, settings=features)
        label = f"{stage}, {clip[rate_column] / 1000:g} kHz"
        frame_rate = highest / frames.hop_length
        panels.append(data_plots.WaveformPanel(label, signal, rate, frames.log_mel, frame_rate=frame_rate))
        played, duration = len(signal) / rate, clip[duration_column]
        length = f"{played:.1f} s" if played > duration - 0.05 else f"the first {played:.1f} of {duration:.1f} s"
        players.append(html_page.audio_player(signal, rate=rate, label=f"{stage}, {length}"))
    title = shorten(f"{clip['corpus']}: {name}", max_length=80)
    options: dict[str, Any] = {"mel_range": (features.mel.fmin, highest / 2), "title": title}
    alt = f"Waveform and log-mel spectrogram before and after preprocessing, of {name}"
    picture = html_page.plot(data_plots.plot_example, panels, path, alt=alt, caption=name, **options)
    return {"picture": picture, "players": players}
