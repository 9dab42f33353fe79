"""Interpret the columns `speaker` and `augmentation` of clip tables.

Corpora import this module, so it does not import pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ROBUSTNESS_PREFIX = "robustness_"
"""Prefix of `augmentation` for corrupted clips, which are for robustness tests only."""


def speaker_id(corpus: str, speaker: str = "") -> str:
    """Build a speaker ID that is unique across corpora: ``<corpus>-<speaker>``; ``<corpus>-`` for unknown speakers."""
    return f"{corpus}-{speaker}"


def is_unknown_speaker(clips: pd.DataFrame) -> pd.Series[bool]:
    """Mark the rows of a table with the columns corpus and speaker whose speaker is unknown."""
    return clips.speaker == clips.corpus + "-"


def n_known_speakers(clips: pd.DataFrame) -> int:
    """Count the known speakers of a table with the columns corpus and speaker."""
    return int(clips.speaker[~is_unknown_speaker(clips)].nunique())


def describe_unknown_speakers(clips: pd.DataFrame) -> str:
    """Describe the unknown speakers of a table; empty if all speakers are known."""
    unknown = is_unknown_speaker(clips)
    if not unknown.any():
        return ""
    return f"speaker identity unknown{'' if unknown.all() else ' for some clips'}"


def is_corrupted(clips: pd.DataFrame) -> pd.Series[bool]:
    """Mark the corrupted clips of a table with the column augmentation."""
    return clips.augmentation.str.startswith(ROBUSTNESS_PREFIX).astype(bool)
