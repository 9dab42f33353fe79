"""Warnings about the data: missing emotions, and properties that are confounded with the corpus or the emotion.

`clips` has one row per clip of the run and the columns corpus, speaker, sex, label (class of the run), original_rate
(Hz, of the recording) and clip_level_db (dBFS, after preprocessing). `matrix` has the number of clips by corpus (rows)
and emotion.
"""

from collections.abc import Mapping, Sequence

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

MIN_FRACTION_OF_EQUAL_DURATION = 0.1
"""Smallest fraction of recordings of exactly the same duration that is reported; RAVDESS has 0.06, the others less."""


def synthetic(names: Sequence[str]) -> list[Callout]:
    """Warn of synthetic corpora, given by name."""
    if not names:
        return []
    text = "Scores only show that the pipeline works; they say nothing about human speech."
    return [Callout("Synthetic speech", f"No human speech in {join_names(names)}. {text}")]


def unknown_speakers(clips: pd.DataFrame) -> list[Callout]:
    """Warn of corpora with unknown speakers."""
    text = "scores are not speaker-independent, because the same speakers may occur in training and test."
    names = sorted(clips.corpus[is_unknown_speaker(clips)].unique())
    return [Callout("Speaker identity unknown", f"{name}: {text}") for name in names]


def missing_emotions(matrix: pd.DataFrame) -> list[Callout]:
    """Warn of emotions that some corpora lack."""
    missing = {corpus: list(row.index[row]) for corpus, row in is_missing(matrix).iterrows() if row.any()}
    if not missing:
        return []
    text = "; ".join(f"no {join_names(emotions)} in {corpus}" for corpus, emotions in missing.items())
    text = f"{text[0].upper()}{text[1:]}. A model may identify the corpus instead of the emotion."
    return [Callout("Missing emotions", text)]


def equal_durations(durations_by_corpus: Mapping[str, pd.Series]) -> list[Callout]:
    """Warn of corpora in which many recordings have exactly the same duration, in seconds."""
    notes = []
    for corpus, durations in durations_by_corpus.items():
        counts = durations.value_counts()
        most = 0 if counts.empty else int(counts.iloc[0])
        if most >= max(MIN_CLIPS, MIN_FRACTION_OF_EQUAL_DURATION * len(durations)):
            share = f"{most:,} of {len(durations):,} recordings of {corpus} ({most / len(durations):.0%})"
            text = f"{share} have exactly the same duration, {counts.index[0]:.3f} s. They were probably cut or padded."
            notes.append(Callout("Equal durations", f"{text} Words may be incomplete, and silence may be artificial."))
    return notes


def is_missing(matrix: pd.DataFrame) -> pd.DataFrame:
    """Mark emotions without clips in a corpus, but with clips in another one."""
    return (matrix == 0) & (matrix.sum(axis=0) > 0)


def confounds(clips: pd.DataFrame, *, sample_rate: int) -> list[Callout]:
    """Warn if sex, a sample rate below that of the clips (Hz), or level depends on the corpus or the emotion."""
    female = (clips.sex == "f").astype(float).where(clips.sex.isin(["f", "m"]))
    narrow = (clips.original_rate < sample_rate).astype(float).where(clips.original_rate.notna())
    narrow_text = f"Recordings below {sample_rate / 1000:g} kHz, without the upper frequencies"
    return [
        *_confounds(female, clips, name="Speakers' sex", text="Clips of female speakers"),
        *_confounds(narrow, clips, name="Sample rate", text=narrow_text),
        *_confounds(clips.clip_level_db, clips, name="Level", text="Median level after preprocessing", is_level=True),
    ]


def _confounds(
    values: pd.Series, clips: pd.DataFrame, *, name: str, text: str, is_level: bool = False
) -> list[Callout]:
    """Compare the median level, or the fraction of flagged clips, between corpora, and between emotions."""
    statistic = "median" if is_level else "mean"
    limits = (MIN_DB_BY_CORPUS, MIN_DB_BY_EMOTION) if is_level else (MIN_FRACTION_BY_CORPUS, MIN_FRACTION_BY_EMOTION)
    formats = ("{:.1f} dBFS in {}", "{:.1f} dBFS for {}") if is_level else ("{:.0%} of {}", "{:.0%} of {}")
    cause = " The cause may be the speakers' loudness or the recording gain." if is_level else ""
    known, notes = clips[values.notna()], []
    by_corpus = _aggregate(values, known.corpus, statistic)
    if by_corpus.max() - by_corpus.min() >= limits[0]:
        listed = ", ".join(formats[0].format(value, corpus) for corpus, value in by_corpus.items())
        notes.append(Callout(f"{name} is confounded with the corpus", f"{text}: {listed}."))
    pooled = [("all corpora", known)] if known.corpus.nunique() > 1 and not is_level else []
    for corpus, rows in [*known.groupby("corpus"), *pooled]:
        by_emotion = _aggregate(values, rows.label, statistic)
        if by_emotion.max() - by_emotion.min() >= limits[1]:
            ends = [formats[1].format(by_emotion[end], end) for end in (by_emotion.idxmin(), by_emotion.idxmax())]
            title = f"{name} is confounded with the emotion"
            notes.append(Callout(title, f"{text} in {corpus}: {', '.join(ends)}.{cause}"))
    return notes


def _aggregate(values: pd.Series, groups: pd.Series, statistic: str) -> pd.Series:
    """Aggregate the values of each group of at least `MIN_CLIPS`."""
    table = values[groups.index].groupby(groups).agg([statistic, "size"])
    return table[statistic][table["size"] >= MIN_CLIPS]
