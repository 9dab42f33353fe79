"""Audio players for the misclassified clips of the evaluation report."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.dataset.clips import read_audio
from ser.reporting import html_page

LIMITS: dict[str, Any] = {"max_seconds": 4.0, "max_rate": 16000}
"""Limits of a player, of `decode_beginning`: a dozen players add 2 MB to a report."""


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
    players = []
    for n, clip in enumerate(errors.itertuples(), start=1):
        if clip.clip_id in audio:
            signal, rate, is_complete = decode_beginning(audio[clip.clip_id], **LIMITS)
            length = "" if is_complete else f", first {LIMITS['max_seconds']:g} s"
            label = f"{n}. {clip.emotion} → {clip.predicted}{length}"
            players.append(html_page.audio_player(signal, rate=rate, label=label))
    missing = sorted(set(errors.corpus[~errors.clip_id.isin(audio)]))
    message = f"Clips of {', '.join(missing)} cannot be played: no audio was available when this report was written."
    return players, message if missing else ""


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
    signal = effects.resample(effects.mix(samples[:n_samples]), rate=original, to=rate)
    return signal, rate, len(samples) <= n_samples
