"""Warnings about the data: missing emotions, and properties that are confounded with the corpus or the emotion.

All functions but `synthetic` and `missing_emotions` take a table with one row per clip of the run and the columns
corpus, speaker, sex, label (class of the run), original_rate (Hz, of the recording) and clip_level_db (dBFS, after
preprocessing).
"""

from collections.abc import Sequence

import pandas as pd

from ser.dataset.clip_metadata import is_unknown_speaker
from ser.reporting.html_page import Callout
from ser.utils.text import join_names

MIN_CLIPS = 10
"""Smallest group of clips whose fraction or median is compared."""
MIN_FRACTION_BY_CORPUS, MIN_FRACTION_BY_EMOTION = 0.3, 0.2
"""Smallest differences of a fraction of clips that are reported."""
MIN_DB_BY_CORPUS, MIN_DB_BY_EMOTION = 3.0, 6.0
"""Smallest differences of a median level that are reported, in dB."""


def synthetic(names: Sequence[str]) -> list[Callout]:
    """Warn of synthetic corpora, given by name."""
    if not names:
        return []
    text = "Scores only show that the pipeline works; they say nothing about human speech."
    return [Callout("Synthetic speech", f"{join_names(names)}: no human speech. {text}")]


def unknown_speakers(clips: pd.DataFrame) -> list[Callout]:
    """Warn of corpora with unknown speakers."""
    text = "scores are not speaker-independent, because the same speakers may occur in training and test."
    names = sorted(clips.corpus[is_unknown_speaker(clips)].unique())
    return [Callout("Speaker identity unknown", f"{name}: {text}") for name in names]


def missing_emotions(matrix: pd.DataFrame) -> list[Callout]:
    """Warn of emotions that some corpora lack.

    Parameters
    ----------
    matrix
        Number of clips by corpus (rows) and emotion.
    """
    missing = {corpus: list(row.index[row]) for corpus, row in is_missing(matrix).iterrows() if row.any()}
    if not missing:
        return []
    text = "; ".join(f"no {join_names(emotions)} in {corpus}" for corpus, emotions in missing.items())
    text = f"{text[0].upper()}{text[1:]}. A model may identify the corpus instead of the emotion."
    return [Callout("Missing emotions", text)]


def is_missing(matrix: pd.DataFrame) -> pd.DataFrame:
    """Mark emotions without clips in a corpus, but with clips in another one."""
    return (matrix == 0) & (matrix.sum(axis=0) > 0)


def gender_confounds(clips: pd.DataFrame) -> list[Callout]:
    """Warn if the speakers' sex depends on the corpus or the emotion."""
    known = clips[clips.sex.isin(["f", "m"])]
    female = (known.sex == "f").astype(float)
    return _fraction_confounds(female, known, name="Speakers' sex", fraction="Clips of female speakers")


def bandwidth_confounds(clips: pd.DataFrame, *, sample_rate: int) -> list[Callout]:
    """Warn if recordings with a lower sample rate than the clips, in Hz, depend on the corpus or the emotion."""
    known = clips[clips.original_rate.notna()]
    narrow = (known.original_rate < sample_rate).astype(float)
    fraction = f"Recordings below {sample_rate / 1000:g} kHz, without the upper frequencies"
    return _fraction_confounds(narrow, known, name="Sample rate", fraction=fraction)


def _fraction_confounds(flags: pd.Series, clips: pd.DataFrame, *, name: str, fraction: str) -> list[Callout]:
    """Compare the fraction of flagged clips between corpora and, within each and in all, between emotions."""
    notes = []
    by_corpus = _aggregate(flags, clips.corpus, "mean")
    if _spread(by_corpus) >= MIN_FRACTION_BY_CORPUS:
        values = ", ".join(f"{value:.0%} of {corpus}" for corpus, value in by_corpus.items())
        notes.append(Callout(f"{name} is confounded with the corpus", f"{fraction}: {values}."))
    together = [("all corpora", clips)] if clips.corpus.nunique() > 1 else []
    for corpus, rows in [*clips.groupby("corpus"), *together]:
        by_emotion = _aggregate(flags[rows.index], rows.label, "mean")
        if _spread(by_emotion) >= MIN_FRACTION_BY_EMOTION:
            text = f"{fraction} in {corpus}: {_lowest_and_highest(by_emotion, '{:.0%} of {}')}."
            notes.append(Callout(f"{name} is confounded with the emotion", text))
    return notes


def level_confounds(clips: pd.DataFrame) -> list[Callout]:
    """Warn if the level after preprocessing depends on the corpus or the emotion."""
    notes = []
    level, text = clips.clip_level_db, "Median level after preprocessing"
    by_corpus = _aggregate(level, clips.corpus, "median")
    if _spread(by_corpus) >= MIN_DB_BY_CORPUS:
        values = ", ".join(f"{value:.1f} dBFS in {corpus}" for corpus, value in by_corpus.items())
        notes.append(Callout("Level is confounded with the corpus", f"{text}: {values}."))
    for corpus, rows in clips.groupby("corpus"):
        by_emotion = _aggregate(level[rows.index], rows.label, "median")
        if _spread(by_emotion) >= MIN_DB_BY_EMOTION:
            values = _lowest_and_highest(by_emotion, "{:.1f} dBFS for {}")
            cause = "The cause may be the speakers' loudness or the recording gain."
            notes.append(Callout("Level is confounded with the emotion", f"{text} in {corpus}: {values}. {cause}"))
    return notes


def _aggregate(values: pd.Series, groups: pd.Series, function: str) -> pd.Series:
    """Aggregate the values of each group of at least `MIN_CLIPS`."""
    sizes = groups[values.notna()].value_counts()
    enough = values.notna() & groups.isin(sizes.index[sizes >= MIN_CLIPS])
    return values[enough].groupby(groups[enough]).agg(function).sort_index()


def _spread(values: pd.Series) -> float:
    return float(values.max() - values.min()) if len(values) > 1 else 0.0


def _lowest_and_highest(values: pd.Series, text: str) -> str:
    low, high = values.idxmin(), values.idxmax()
    return f"{text.format(values[low], low)}, {text.format(values[high], high)}"
