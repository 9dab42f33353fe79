"""Who speaks: ``<corpus>-<id>``, so that no two corpora share a speaker, and ``<corpus>-`` where nobody knows."""

import pandas as pd


def name_speaker(corpus: str, who: str = "") -> str:
    """Name a speaker of a corpus; nobody, where it is unknown who speaks."""
    return f"{corpus}-{who}"


def are_unknown(clips: pd.DataFrame) -> "pd.Series[bool]":
    """Say of each row of a table with the columns corpus and speaker whether nobody knows who speaks."""
    return clips.speaker == clips.corpus + "-"


def count_known(clips: pd.DataFrame) -> int:
    """Count the speakers of such a table who are told apart."""
    return int(clips.speaker[~are_unknown(clips)].nunique())


def say_unknown(clips: pd.DataFrame) -> str:
    """Say that nobody knows who speaks, in all clips of such a table or in some; nothing where everybody is known."""
    unknown = are_unknown(clips)
    if not unknown.any():
        return ""
    return f"nobody knows who speaks{'' if unknown.all() else ' in some clips'}"
