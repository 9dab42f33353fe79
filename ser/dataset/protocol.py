"""Describe a split in words: its evaluation protocol, and how many speakers and clips each split has."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ser.dataset.clip_metadata import is_unknown_speaker, n_known_speakers
from ser.params import Protocol, Split
from ser.utils.text import pluralize

TABLES = {
    "emobox": "EmoBox's folds",
    "luna_jimenez": "the folds of Luna-Jiménez et al. (2021)",
    "swap_speakers": "training on one actress and testing on the other",
}
"""Published cross-validations, as a sentence names them."""

HELD_OUT: Mapping[Protocol, str] = {
    "speaker_independent": "speakers",
    "text_independent": "sentences",
    "cross_corpus": "corpora",
    "random": "random clips",
}
"""What is tested in turn under each protocol, as a sentence names it."""

NOT_SPEAKER_INDEPENDENT = "the same speakers in training: optimistic, new voices will do worse"


def describe_protocol(
    corpora: Sequence[str], split: Split, *, unknown: Sequence[str], published: Mapping[str, int]
) -> str:
    """Describe in one sentence what is tested on what.

    Parameters
    ----------
    corpora
        Of the run.
    split
        The section `split` of the settings.
    unknown
        Corpora whose speakers are unknown.
    published
        Speaker -> fold of the published cross-validation that `split.fold_table` names, as
        `ser.corpora.base.published_folds` gives it; empty without a table.
    """
    protocol = effective_protocol(corpora, split, unknown=unknown)
    folds = count_folds(corpora, split, published=published)
    once: Mapping[str, str] = {
        "speaker_independent": "tested on speakers who are not in training",
        "text_independent": f"tested on sentences that are not in training, {NOT_SPEAKER_INDEPENDENT}",
        "random": f"random clips held out, {NOT_SPEAKER_INDEPENDENT}",
    }
    besides = f" (random clips of {' and '.join(unknown)})" if unknown and protocol == "speaker_independent" else ""
    how = once[protocol] if folds == 1 else _cross_validation(protocol, split, folds=folds)
    return f"{' + '.join(sorted(corpora))}, {how}{besides}"


def effective_protocol(corpora: Sequence[str], split: Split, *, unknown: Sequence[str]) -> Protocol:
    """Determine the protocol that a run follows: random instead of speaker-independent if no speaker is known."""
    by_speaker = split.protocol == "speaker_independent"
    return "random" if by_speaker and set(unknown) == set(corpora) else split.protocol


def count_folds(corpora: Sequence[str], split: Split, *, published: Mapping[str, int]) -> int:
    """Count the folds of a split; `published` is as for `describe_protocol`."""
    if split.protocol == "cross_corpus":
        return len(corpora)
    return max(published.values(), default=split.folds)


def _cross_validation(protocol: Protocol, split: Split, *, folds: int) -> str:
    how: Mapping[Protocol, str] = {
        "speaker_independent": "each tested by a model that never heard the voice",
        "text_independent": NOT_SPEAKER_INDEPENDENT,
        "cross_corpus": "each tested by a model that was trained on others",
        "random": NOT_SPEAKER_INDEPENDENT,
    }
    by = "" if split.fold_table is None else f"by {TABLES.get(split.fold_table, f'the folds {split.fold_table}')}, "
    return f"{folds}-fold cross-validation over {HELD_OUT[protocol]}, {by}{how[protocol]}"


def format_split_summary(clips: pd.DataFrame, splits: pd.DataFrame) -> list[str]:
    """Count the speakers and clips, without copies, of train, val and test: a line per fold."""
    table, folds = splits.merge(clips[["clip_id", "corpus", "speaker"]], on="clip_id"), splits.fold.nunique()
    lines = []
    for fold, rows in table.groupby("fold"):
        subsets = {split: rows[rows.split == split] for split in ("train", "val", "test")}
        sizes = [f"{split} {_voices(own)}, {pluralize(len(own), 'clip')}" for split, own in subsets.items()]
        lines.append(f"{f'fold {fold}: ' if folds > 1 else ''}{'; '.join(sizes)}")
    return lines


def _voices(clips: pd.DataFrame) -> str:
    """Count the speakers of some clips; unknown ones cannot be counted."""
    known = (
        [pluralize(n_known_speakers(clips), "speaker")]
        if len(clips) == 0 or not is_unknown_speaker(clips).all()
        else []
    )
    return " and ".join([*known, *(["unknown speakers"] if is_unknown_speaker(clips).any() else [])])
