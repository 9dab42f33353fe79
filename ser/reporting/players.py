"""Audio players for the misclassified clips of the evaluation report."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.dataset.clips import read_audio
from ser.reporting import html_page

MAX_SECONDS = 4.0
MAX_RATE = 16000
"""Longest duration and highest sample rate (Hz) of a player: a dozen players add 2 MB to a report."""


def make_players(errors: pd.DataFrame, clips: Sequence[Path]) -> tuple[list[html_page.Player], str]:
    """Make an audio player for each misclassified clip, and a message on clips without audio (possibly empty).

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
    return players, message if missing else ""


def _player(n: int, clip: Mapping[str, str], content: bytes) -> html_page.Player:
    signal, rate, is_complete = decode_beginning(content, max_seconds=MAX_SECONDS, max_rate=MAX_RATE)
    length = "" if is_complete else f", first {MAX_SECONDS:g} s"
    return html_page.audio_player(signal, rate=rate, label=f"{n}. {clip['emotion']} → {clip['predicted']}{length}")


def decode_beginning(
    recording: Path | bytes, *, max_seconds: float, max_rate: int, max_bytes: float = math.inf
) -> tuple[Waveform, int, bool]:
    """Decode the beginning of a recording for a player, which is limited in seconds, sample rate (Hz) and bytes.

    Returns
    -------
    signal : ndarray of shape (n_samples,)
    rate : int
        Sample rate in Hz.
    is_complete : bool
        Whether the signal is the whole recording.
    """
    samples, original = audio_io.decode(recording)
    rate = min(original, max_rate)
    n_samples = int(min(max_seconds, max_bytes / (2 * rate)) * original)
    signal = effects.resample(effects.to_mono(samples[:n_samples]), rate=original, to=rate)
    return signal, rate, len(samples) <= n_samples
