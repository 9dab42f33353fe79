"""Plot and play example clips of a corpus before and after preprocessing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.dataset.clips import read_audio
from ser.features.frame_features import FrameAnalysis
from ser.params import Features
from ser.reporting import data_plots, html_page
from ser.reporting.data_tables import SEXES
from ser.utils import seeding
from ser.utils.text import shorten

N_EXAMPLES = 3
"""Number of examples per corpus."""
MAX_SECONDS = 10.0
MAX_BYTES = 480_000
"""Largest duration and size of a player; at 48 kHz, 5 s."""
MAX_RATE = 48000
"""Highest sample rate of a player in Hz."""


@dataclass(frozen=True)
class Example:
    """A clip: its name, figure, and audio players before and after preprocessing."""

    name: str
    picture: html_page.Picture
    players: tuple[html_page.Player, html_page.Player]


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
) -> list[Example]:
    """Plot and embed examples of a corpus.

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
            recording=recordings / clip["file"],
            content=audio[clip["clip_id"]],
            path=pictures / f"example_{clip['corpus']}_{n}.png",
            features=features,
        )
        for n, clip in enumerate(selected.to_dict("records"), start=1)
    ]


def _example(clip: Mapping[Any, Any], *, recording: Path, content: bytes, path: Path, features: Features) -> Example:
    name = f"{clip['file']}: {clip['emotion']}, {_speaker_name(clip)}"
    before, after = _decode_beginning(recording), _decode_beginning(content)
    rate = max(before[1], after[1])  # one frequency scale for both spectrograms
    panels = [
        _panel(*before, f"before, {clip['original_rate'] / 1000:g} kHz", to=rate, features=features),
        _panel(*after, f"after, {after[1] / 1000:g} kHz", to=rate, features=features),
    ]
    title = shorten(f"{clip['corpus']}: {name}", max_length=80)
    data_plots.plot_example(panels, path, mel_range=(features.mel.fmin, rate / 2), title=title)
    alt = f"Waveform and log-mel spectrogram before and after preprocessing, of {name}"
    players = (_player("before", *before, clip["duration"]), _player("after", *after, clip["clip_duration"]))
    return Example(name, html_page.picture(path, alt=alt, caption=name), players)


def _speaker_name(clip: Mapping[Any, Any]) -> str:
    speaker = clip["speaker"].removeprefix(f"{clip['corpus']}-")
    sex = f" ({SEXES[clip['sex']]})" if clip["sex"] in ("f", "m") else ""
    return (f"speaker {speaker}" if speaker else "speaker unknown") + sex


def _player(label: str, signal: Waveform, rate: int, duration: float) -> html_page.Player:
    played = len(signal) / rate
    length = f"{played:.1f} s" if played > duration - 0.05 else f"the first {played:.1f} of {duration:.1f} s"
    return html_page.audio_player(signal, rate=rate, label=f"{label}, {length}")


def _decode_beginning(recording: Path | bytes) -> tuple[Waveform, int]:
    """Decode the part of a recording that a player contains: samples of shape (n_samples,), and sample rate in Hz."""
    samples, original = audio_io.decode(recording)
    rate = min(original, MAX_RATE)
    seconds = min(MAX_SECONDS, MAX_BYTES / (2 * rate))
    signal = effects.to_mono(samples[: int(seconds * original)])
    return effects.resample(signal, rate=original, to=rate), rate


def _panel(signal: Waveform, rate: int, label: str, *, to: int, features: Features) -> data_plots.WaveformPanel:
    frames = FrameAnalysis(signal=effects.resample(signal, rate=rate, to=to), rate=to, settings=features)
    return data_plots.WaveformPanel(label, signal, rate, frames.log_mel, frame_rate=to / frames.hop_length)
