"""Clips of a corpus as they look and sound before and after preprocessing."""

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

EXAMPLES = 3
"""Clips of each corpus that are shown and played."""
PLAYED_SECONDS = 10.0
PLAYED_BYTES = 480_000
"""A player holds no more of a recording than both of these allow; at 48 kHz, 5 s."""
HIGHEST_RATE = 48000
"""Recordings above are played at this rate (Hz), which already goes beyond what people hear."""


@dataclass(frozen=True)
class Example:
    """A clip that is shown: what it is, how it looks, how it sounds before and after."""

    name: str
    picture: html_page.Picture
    players: tuple[html_page.Player, html_page.Player]


def select_examples(clips: pd.DataFrame, *, count: int = EXAMPLES) -> pd.DataFrame:
    """Choose clips that differ in speaker, emotion and sex as far as there are others; the same for the same clips."""
    drawn = [seeding.derive_seed(0, "example", clip_id) for clip_id in clips.clip_id]
    waiting = clips.assign(drawn=drawn).sort_values(["drawn", "clip_id"], ignore_index=True)
    chosen = waiting.iloc[:0]
    for _ in range(min(count, len(waiting))):
        alike = sum(waiting[name].isin(chosen[name]).astype(int) for name in ("speaker", "emotion", "sex"))
        best = waiting.loc[[alike.idxmin()]]  # of several, the first
        chosen, waiting = pd.concat([chosen, best]), waiting.drop(best.index)
    return chosen.drop(columns="drawn").reset_index(drop=True)


def make(rows: pd.DataFrame, *, recordings: Path, clips: Path, pictures: Path, features: Features) -> list[Example]:
    """Show some clips of a corpus.

    Parameters
    ----------
    rows
        Of one corpus, as `ser.reporting.data_tables.join` makes them.
    recordings
        Folder of the recordings.
    clips
        Clip table with the column ``audio``.
    pictures
        Folder for the PNGs.
    features
        The section `features` of the settings: how the log-mel pictures are made.

    Raises
    ------
    AudioError
        If a recording cannot be read.
    """
    chosen = select_examples(rows[rows.file.notna()])
    sounds = read_audio(clips, list(chosen.clip_id)) if len(chosen) else {}
    return [
        _example(
            clip,
            recording=recordings / clip["file"],
            content=sounds[clip["clip_id"]],
            path=pictures / f"example_{clip['corpus']}_{n}.png",
            features=features,
        )
        for n, clip in enumerate(chosen.to_dict("records"), start=1)
    ]


def _example(clip: Mapping[Any, Any], *, recording: Path, content: bytes, path: Path, features: Features) -> Example:
    name = f"{clip['file']}: {clip['emotion']}, {_speaker_name(clip)}"
    before, after = _shortened(recording), _shortened(content)
    shown = max(before[1], after[1])  # at which both are drawn, so that their pictures have one scale
    heard = [
        _heard(*before, f"before, {clip['original_rate'] / 1000:g} kHz", shown=shown, features=features),
        _heard(*after, f"after, {after[1] / 1000:g} kHz", shown=shown, features=features),
    ]
    title = shorten(f"{clip['corpus']}: {name}", max_length=80)
    data_plots.plot_example(heard, path, mel_range=(features.mel.fmin, shown / 2), title=title)
    alt = f"Waveform and log-mel spectrogram before and after preprocessing, of {name}"
    players = (_player("before", *before, clip["duration"]), _player("after", *after, clip["clip_duration"]))
    return Example(name, html_page.picture(path, alt=alt, caption=name), players)


def _speaker_name(clip: Mapping[Any, Any]) -> str:
    speaker = clip["speaker"].removeprefix(f"{clip['corpus']}-")
    sex = f" ({SEXES[clip['sex']]})" if clip["sex"] in ("f", "m") else ""
    return (f"speaker {speaker}" if speaker else "speaker unknown") + sex


def _player(when: str, signal: Waveform, rate: int, seconds: float) -> html_page.Player:
    played = len(signal) / rate
    length = f"{played:.1f} s" if played > seconds - 0.05 else f"the first {played:.1f} of {seconds:.1f} s"
    return html_page.audio_player(signal, rate=rate, label=f"{when}, {length}")


def _shortened(recording: Path | bytes) -> tuple[Waveform, int]:
    """Decode what a player holds of a recording, as (n_samples,) and its rate in Hz."""
    samples, original = audio_io.decode(recording)
    rate = min(original, HIGHEST_RATE)
    seconds = min(PLAYED_SECONDS, PLAYED_BYTES / (2 * rate))
    signal = effects.to_mono(samples[: int(seconds * original)])
    return effects.resample(signal, rate=original, to=rate), rate


def _heard(signal: Waveform, rate: int, label: str, *, shown: int, features: Features) -> data_plots.WaveformPanel:
    framed = FrameAnalysis(signal=effects.resample(signal, rate=rate, to=shown), rate=shown, settings=features)
    return data_plots.WaveformPanel(label, signal, rate, framed.log_mel, frame_rate=shown / framed.hop_length)
