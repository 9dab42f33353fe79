"""Who speaks: ``<corpus>-<id>``, so that no two corpora share a speaker, and ``<corpus>-`` where nobody knows."""

import pandas as pd


def name_speaker(corpus: str, who: str = "") -> str:
    """Name a speaker of a corpus; nobody, where it is unknown who speaks."""
    return f"{corpus}-{who}"


def are_unknown(clips: pd.DataFrame) -> "pd.Series[bool]":
    """Say of each row of a table with the columns corpus and speaker whether nobody knows who speaks."""
    return clips.speaker == clips.corpus + "-"
