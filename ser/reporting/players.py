"""The clips that a model got wrong, to be heard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ser.audio import effects
from ser.audio import io as audio_io
from ser.dataset.clips import read_audio
from ser.reporting import html_page

PLAYED_SECONDS = 4.0
PLAYED_RATE = 16000
"""A player holds no more than this many seconds, at no higher rate (Hz): a dozen of them make 2 MB of a page."""


class Playable(NamedTuple):
    """Players, and why some clips have none (empty where all have one)."""

    players: list[html_page.Player]
    why_not: str


def make(wrong: pd.DataFrame, clips: Sequence[Path]) -> Playable:
    """Make players of clips.

    Parameters
    ----------
    wrong
        Columns clip_id, corpus, emotion and predicted; players are numbered by its rows.
    clips
        Clip tables with the column ``audio``, named by their corpora. Those that are not there are passed over.

    Raises
    ------
    AudioError
        If a clip cannot be decoded.
    """
    there = {path.stem: path for path in clips if path.exists()}
    sounds: dict[str, bytes] = {}
    for corpus, own in wrong.groupby("corpus"):
        if corpus in there:
            sounds |= read_audio(there[corpus], list(own.clip_id))
    players = [_player(n, row._asdict(), sounds) for n, row in enumerate(wrong.itertuples(index=False), start=1)]
    silent = sorted(set(wrong.corpus[~wrong.clip_id.isin(sounds)]))
    why_not = f"Clips of {', '.join(silent)} cannot be played: their audio was not there when this page was made."
    return Playable([player for player in players if player], why_not if silent else "")


def _player(n: int, clip: Mapping[str, str], sounds: Mapping[str, bytes]) -> html_page.Player | None:
    if clip["clip_id"] not in sounds:
        return None
    samples, original = audio_io.decode(sounds[clip["clip_id"]])
    rate = min(original, PLAYED_RATE)
    played = effects.to_mono(samples[: int(PLAYED_SECONDS * original)])
    length = f", first {PLAYED_SECONDS:g} s" if len(samples) > len(played) else ""
    label = f"{n}. {clip['emotion']}, taken for {clip['predicted']}{length}"
    return html_page.audio_player(effects.resample(played, rate=original, to=rate), rate=rate, label=label)
