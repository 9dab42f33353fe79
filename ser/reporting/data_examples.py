"""Plot and play example clips of a corpus before and after preprocessing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ser.audio import effects
from ser.audio.types import Waveform
from ser.dataset.clips import read_audio
from ser.features.frame_features import FrameAnalysis
from ser.params import Features
from ser.reporting import data_plots, html_page
from ser.reporting.data_tables import SEXES
from ser.reporting.players import decode_beginning
from ser.utils import seeding
from ser.utils.text import shorten

N_EXAMPLES = 3
"""Number of examples per corpus."""
LIMITS: dict[str, Any] = {"max_seconds": 10.0, "max_bytes": 480_000, "max_rate": 48000}
"""Limits of a player, of `ser.reporting.players.decode_beginning`; at 48 kHz, 5 s."""


def select_examples(clips: pd.DataFrame, *, count: int = N_EXAMPLES) -> pd.DataFrame:
    """Select clips that differ in speaker, emotion and sex as far as possible, independent of the order of rows."""
    order = [seeding.derive_seed(0, "example", clip_id) for clip_id in clips.clip_id]
    remaining = clips.assign(order=order).sort_values(["order", "clip_id"], ignore_index=True)
    selected = remaining.iloc[:0]
    for _ in range(min(count, len(remaining))):
        n_equal = sum(remaining[name].isin(selected[name]).astype(int) for name in ("speaker", "emotion", "sex"))
        best = remaining.loc[[n_equal.idxmin()]]
        selected, remaining = pd.concat([selected, best]), remaining.drop(best.index)
    return selected.drop(columns="order").reset_index(drop=True)


def make_examples(
    rows: pd.DataFrame, *, recordings: Path, clips: Path, pictures: Path, features: Features
) -> list[dict[str, Any]]:
    """Plot and embed examples of a corpus, each with a picture and players before and after preprocessing.

    Parameters
    ----------
    rows
        Rows of one corpus, of `ser.reporting.data_tables.join_tables`.
    recordings
        Folder of the recordings.
    clips
        Clip table with the column ``audio``.
    pictures
        Folder for the PNGs.
    features
        The section `features` of the settings, for the log-mel spectrograms.

    Raises
    ------
    AudioError
        If a recording cannot be decoded.
    """
    selected = select_examples(rows[rows.file.notna()])
    audio = read_audio(clips, list(selected.clip_id)) if len(selected) else {}
    return [
        _example(
            clip,
            recordings=(recordings / clip["file"], audio[clip["clip_id"]]),
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
    (before, rate_before), (after, rate_after) = (decode_beginning(each, **LIMITS)[:2] for each in recordings)
    rate = max(rate_before, rate_after)  # one frequency scale for both spectrograms
    panels = [
        _panel(before, rate_before, f"before, {clip['original_rate'] / 1000:g} kHz", to=rate, features=features),
        _panel(after, rate_after, f"after, {rate_after / 1000:g} kHz", to=rate, features=features),
    ]
    players = [
        _player("before", before, rate_before, clip["duration"]),
        _player("after", after, rate_after, clip["clip_duration"]),
    ]
    title = shorten(f"{clip['corpus']}: {name}", max_length=80)
    options: dict[str, Any] = {"mel_range": (features.mel.fmin, rate / 2), "title": title}
    alt = f"Waveform and log-mel spectrogram before and after preprocessing, of {name}"
    picture = html_page.plot(data_plots.plot_example, panels, path, alt=alt, caption=name, **options)
    return {"picture": picture, "players": players}


def _player(label: str, signal: Waveform, rate: int, duration: float) -> html_page.Player:
    played = len(signal) / rate
    length = f"{played:.1f} s" if played > duration - 0.05 else f"the first {played:.1f} of {duration:.1f} s"
    return html_page.audio_player(signal, rate=rate, label=f"{label}, {length}")


def _panel(signal: Waveform, rate: int, label: str, *, to: int, features: Features) -> data_plots.WaveformPanel:
    frames = FrameAnalysis(signal=effects.resample(signal, rate=rate, to=to), rate=to, settings=features)
    return data_plots.WaveformPanel(label, signal, rate, frames.log_mel, frame_rate=to / frames.hop_length)
