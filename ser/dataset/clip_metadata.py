"""Interpret the columns `speaker` and `augmentation` of the clip table.

A speaker is ``<corpus>-<id>``, so that no two corpora share one, and ``<corpus>-`` where it is unknown who speaks.
`augmentation` distinguishes two kinds of altered copies: those of training clips, to train on, and those of test clips,
to measure robustness. Corpora import this module, so it does not import pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ROBUSTNESS_PREFIX = "robustness_"
"""How `augmentation` begins in the rows of copies that are made for testing only."""


def speaker_id(corpus: str, who: str = "") -> str:
    """Name a speaker of a corpus; nobody, where it is unknown who speaks."""
    return f"{corpus}-{who}"


def is_unknown_speaker(clips: pd.DataFrame) -> pd.Series[bool]:
    """Check for each row of a table with the columns corpus and speaker whether the speaker is unknown."""
    return clips.speaker == clips.corpus + "-"


def n_known_speakers(clips: pd.DataFrame) -> int:
    """Count the speakers of such a table who are told apart."""
    return int(clips.speaker[~is_unknown_speaker(clips)].nunique())


def describe_unknown_speakers(clips: pd.DataFrame) -> str:
    """Describe unknown speakers of a table; empty if all are known."""
    unknown = is_unknown_speaker(clips)
    if not unknown.any():
        return ""
    return f"speaker identity unknown{'' if unknown.all() else ' for some clips'}"


def is_corrupted(clips: pd.DataFrame) -> pd.Series[bool]:
    """Say which rows of a table with the column `augmentation` are copies for testing only."""
    return clips.augmentation.str.startswith(ROBUSTNESS_PREFIX).astype(bool)
