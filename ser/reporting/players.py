"""Audio players for the misclassified clips of the evaluation report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ser.audio import effects
from ser.audio import io as audio_io
from ser.dataset.clips import read_audio
from ser.reporting import html_page

MAX_SECONDS = 4.0
MAX_RATE = 16000
"""Longest duration and highest sample rate (Hz) of a player: a dozen players add 2 MB to a report."""


class Players(NamedTuple):
    """Audio players, and a message on clips without audio (empty if there are none)."""

    players: list[html_page.Player]
    missing_audio: str


def make_players(errors: pd.DataFrame, clips: Sequence[Path]) -> Players:
    """Make an audio player for each misclassified clip.

    Parameters
    ----------
    errors
        Columns clip_id, corpus, emotion and predicted; players are numbered by its rows.
    clips
        Clip tables with the column ``audio``, named by their corpora. Missing files are skipped.

    Raises
    ------
    AudioError
        If a clip cannot be decoded.
    """
    files = {path.stem: path for path in clips if path.exists()}
    audio: dict[str, bytes] = {}
    for corpus, group in errors.groupby("corpus"):
        if corpus in files:
            audio |= read_audio(files[corpus], list(group.clip_id))
    numbered = enumerate(errors.itertuples(index=False), start=1)
    players = [_player(n, row._asdict(), audio[row.clip_id]) for n, row in numbered if row.clip_id in audio]
    missing = sorted(set(errors.corpus[~errors.clip_id.isin(audio)]))
    message = f"Clips of {', '.join(missing)} cannot be played: no audio was available when this report was written."
    return Players(players, message if missing else "")


def _player(n: int, clip: Mapping[str, str], content: bytes) -> html_page.Player:
    samples, original = audio_io.decode(content)
    rate = min(original, MAX_RATE)
    played = effects.to_mono(samples[: int(MAX_SECONDS * original)])
    length = f", first {MAX_SECONDS:g} s" if len(samples) > len(played) else ""
    label = f"{n}. {clip['emotion']} → {clip['predicted']}{length}"
    return html_page.audio_player(effects.resample(played, rate=original, to=rate), rate=rate, label=label)
