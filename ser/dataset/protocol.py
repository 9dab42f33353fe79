"""Describe the evaluation protocol, and the number of speakers and clips of each split."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ser.dataset.clip_metadata import is_unknown_speaker, n_known_speakers
from ser.params import Protocol, Split
from ser.utils.text import join_names, pluralize

PUBLISHED_FOLDS = {
    "emobox": "EmoBox's folds",
    "luna_jimenez": "the folds of Luna-Jiménez et al. (2021)",
    "swap_speakers": "training on one actress and testing on the other",
}
"""Descriptions of the published cross-validations."""

HELD_OUT: Mapping[Protocol, str] = {
    "speaker_independent": "speakers",
    "text_independent": "sentences",
    "cross_corpus": "corpora",
    "random": "random clips",
}
"""Units that each protocol holds out for testing."""


def describe_protocol(
    corpora: Sequence[str], split: Split, *, unknown: Sequence[str], published: Mapping[str, int]
) -> str:
    """Describe the evaluation protocol of a run in one sentence.

    Parameters
    ----------
    corpora : sequence of str
        Corpora of the run.
    split : Split
        Section `split` of the settings.
    unknown : sequence of str
        Corpora with unknown speakers.
    published : mapping of str to int
        Speaker -> fold; result of `ser.corpora.base.published_folds`.
    """
    protocol = effective_protocol(corpora, split, unknown=unknown)
    folds = count_folds(corpora, split, published=published)
    if folds == 1:
        unseen = "random clips" if protocol == "random" else f"unseen {HELD_OUT[protocol]}"
        text = f"tested on {unseen}"
    else:
        text = f"{folds}-fold cross-validation over {HELD_OUT[protocol]}"
        if split.fold_table is not None:
            text += f", by {PUBLISHED_FOLDS.get(split.fold_table, f'the folds {split.fold_table}')}"
    if protocol in ("text_independent", "random"):
        text += ", with the same speakers in training and thus optimistic"
    if unknown and protocol == "speaker_independent":
        text += f" (random clips of {join_names(unknown)}, whose speakers are unknown)"
    return f"{' + '.join(sorted(corpora))}, {text}"


def effective_protocol(corpora: Sequence[str], split: Split, *, unknown: Sequence[str]) -> Protocol:
    """Determine the protocol that a run follows: random instead of speaker-independent if no speaker is known."""
    by_speaker = split.protocol == "speaker_independent"
    return "random" if by_speaker and set(unknown) == set(corpora) else split.protocol


def count_folds(corpora: Sequence[str], split: Split, *, published: Mapping[str, int]) -> int:
    """Count the folds of a split; `published` is as for `describe_protocol`."""
    if split.protocol == "cross_corpus":
        return len(corpora)
    return max(published.values(), default=split.folds)


def format_split_summary(clips: pd.DataFrame, splits: pd.DataFrame) -> list[str]:
    """Count the speakers and original clips of train, val and test: one line per fold."""
    table, n_folds = splits.merge(clips[["clip_id", "corpus", "speaker"]], on="clip_id"), splits.fold.nunique()
    lines = []
    for fold, rows in table.groupby("fold"):
        subsets = {split: rows[rows.split == split] for split in ("train", "val", "test")}
        sizes = [f"{split} {_count_speakers(rows)}, {pluralize(len(rows), 'clip')}" for split, rows in subsets.items()]
        lines.append(f"{f'fold {fold}: ' if n_folds > 1 else ''}{'; '.join(sizes)}")
    return lines


def _count_speakers(clips: pd.DataFrame) -> str:
    unknown = is_unknown_speaker(clips)
    counts = [] if unknown.all() else [pluralize(n_known_speakers(clips), "speaker")]
    return join_names([*counts, *(["unknown speakers"] if unknown.any() else [])])
