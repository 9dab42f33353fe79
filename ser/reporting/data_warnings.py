"""What a reader of a score must know about the data behind it: gaps, and what gives an emotion or a corpus away.

All functions take a table with a row a clip that the run uses, and the columns corpus, speaker, sex, label (the class
of this run), original_rate (Hz, of the recording) and clip_level_db (dBFS, after preprocessing).
"""

from collections.abc import Sequence

import pandas as pd

from ser.dataset.clip_metadata import is_unknown_speaker
from ser.reporting.html_page import Callout
from ser.utils.text import join_names

LEAST = 10
"""Of fewer clips no share and no median is compared."""
SHARE_BY_CORPUS, SHARE_BY_EMOTION = 0.3, 0.2
"""Shares (of women, of narrow recordings) that differ by less are not spoken of."""
LEVEL_BY_CORPUS, LEVEL_BY_EMOTION = 3.0, 6.0
"""Nor are median levels, in dB."""


def synthetic(names: Sequence[str]) -> list[Callout]:
    """Say which corpora nobody ever spoke."""
    if not names:
        return []
    text = (
        f"Nobody ever said what {join_names(names)} holds: scores show that the pipeline works and mean nothing about"
    )
    return [Callout("Synthetic voices", f"{text} people.")]


def unknown_speakers(clips: pd.DataFrame) -> list[Callout]:
    """Say of which corpora nobody knows who speaks."""
    names = sorted(clips.corpus[is_unknown_speaker(clips)].unique())
    text = (
        "speakers unknown: scores on this corpus are not speaker-independent, as one voice may be in training and test."
    )
    return [Callout("Unknown speakers", f"{name}: {text}") for name in names]


def missing_emotions(matrix: pd.DataFrame) -> list[Callout]:
    """Say which emotions some corpora lack.

    Parameters
    ----------
    matrix
        Clips by corpus (rows) and emotion.
    """
    missing = {corpus: list(row.index[row]) for corpus, row in is_missing(matrix).iterrows() if row.any()}
    if not missing:
        return []
    said = "; ".join(f"{corpus} lacks {join_names(emotions)}" for corpus, emotions in missing.items())
    text = f"{said}. A model can learn the corpus from that instead of the emotion."
    return [Callout("Not every corpus has every emotion", text)]


def is_missing(matrix: pd.DataFrame) -> pd.DataFrame:
    """Mark where a corpus has no clip of an emotion that another one has."""
    return (matrix == 0) & (matrix.sum(axis=0) > 0)


def gender_confounds(clips: pd.DataFrame) -> list[Callout]:
    """Say where the speakers' sex gives the corpus or the emotion away."""
    known = clips[clips.sex.isin(["f", "m"])]
    women = (known.sex == "f").astype(float)
    return _shares(women, known, title="The speakers' sex", what="women speak")


def bandwidth_confounds(clips: pd.DataFrame, *, sample_rate: int) -> list[Callout]:
    """Say where recordings of less bandwidth than the clips' (rates in Hz) give the corpus or the emotion away."""
    measured = clips[clips.original_rate.notna()]
    narrow = (measured.original_rate < sample_rate).astype(float)
    what = f"recordings made at less than {sample_rate / 1000:g} kHz, which lack the upper frequencies, are"
    return _shares(narrow, measured, title="The sample rate", what=what)


def _shares(flags: pd.Series, clips: pd.DataFrame, *, title: str, what: str) -> list[Callout]:
    """Compare the share of flagged clips between corpora and, within each, between emotions."""
    notes = []
    by_corpus = _by(flags, clips.corpus)
    if _spread(by_corpus) >= SHARE_BY_CORPUS:
        said = ", ".join(f"{share:.0%} of {name}'s clips" for name, share in by_corpus.items())
        notes.append(Callout(f"{title} gives the corpus away", f"{what[0].upper()}{what[1:]} {said}."))
    for place, rows in [*clips.groupby("corpus"), *_all_corpora(clips)]:
        by_emotion = _by(flags[rows.index], rows.label)
        if _spread(by_emotion) >= SHARE_BY_EMOTION:
            said = f"In {place}, {what} {_extremes(by_emotion, '{:.0%} of the clips labelled {}')}."
            notes.append(Callout(f"{title} hints at the emotion", said))
    return notes


def _all_corpora(clips: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [("all corpora together", clips)] if clips.corpus.nunique() > 1 else []


def level_confounds(clips: pd.DataFrame) -> list[Callout]:
    """Say where the level that preprocessing left gives the corpus or the emotion away."""
    notes = []
    level = clips.clip_level_db
    by_corpus = _by(level, clips.corpus, how="median")
    if _spread(by_corpus) >= LEVEL_BY_CORPUS:
        said = ", ".join(f"{name} {value:.1f} dBFS" for name, value in by_corpus.items())
        notes.append(Callout("The level gives the corpus away", f"Medians after preprocessing: {said}."))
    for place, rows in clips.groupby("corpus"):
        by_emotion = _by(level[rows.index], rows.label, how="median")
        if _spread(by_emotion) >= LEVEL_BY_EMOTION:
            said = f"In {place}, the median level after preprocessing is {_extremes(by_emotion, '{:.1f} dBFS for {}')}"
            why = "the voice, or the gain that was set for it"
            notes.append(Callout("The level hints at the emotion", f"{said}: {why}."))
    return notes


def _by(values: pd.Series, groups: pd.Series, *, how: str = "mean") -> pd.Series:
    """Average values by group, small groups left aside."""
    known = values.notna()
    sizes = groups[known].value_counts()
    enough = known & groups.isin(sizes.index[sizes >= LEAST])
    return values[enough].groupby(groups[enough]).agg(how).sort_index()


def _spread(values: pd.Series) -> float:
    return float(values.max() - values.min()) if len(values) > 1 else 0.0


def _extremes(values: pd.Series, text: str) -> str:
    low, high = values.idxmin(), values.idxmax()
    return f"{text.format(values[low], low)} but {text.format(values[high], high)}"
