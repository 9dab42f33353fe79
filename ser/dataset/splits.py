"""Who is trained, validated and tested on what, as pure table work.

A split table has one row per original clip and fold: ``clip_id, emotion, fold, split``. `emotion` is the clip's class
in this run, after merging; clips of other emotions are not in the table. `split` is train, val or test. Copies are
never listed: they follow their original. With several folds each clip is tested in one of them (cross-validation).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from ser.dataset.clip_metadata import is_corrupted, is_unknown_speaker
from ser.dataset.selection import select_clips
from ser.labels import canonical_order
from ser.params import Emotions, Protocol, Split
from ser.utils import seeding
from ser.utils.errors import UserError

COLUMNS = ("clip_id", "emotion", "fold", "split")
SPLITS = ("train", "val", "test")
Fold = tuple[pd.DataFrame, pd.DataFrame]
"""The clips of a corpus that a fold leaves for training and validation, and those it tests on."""
GROUP_COLUMNS: Mapping[str, str] = {"speaker_independent": "speaker", "text_independent": "sentence"}
"""Protocol -> column whose values are never in both training and test; other protocols have none."""


def split_clips(
    clips: pd.DataFrame,
    settings: Split,
    *,
    emotions: Emotions,
    seed: int,
    published: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Assign every original clip of the run's classes to training, validation or test, in each fold.

    `protocol` determines what test and training do not share: speakers, sentences, corpora, or only clips. Validation
    clips are separated from training in the same way. If only one speaker remains for training and validation,
    sentences are held out for validation; if only one sentence remains, speakers are. Corpora without speaker labels
    are split by clip instead of by speaker.

    With one fold, `test_fraction` is tested. With more, each speaker, sentence or clip is tested in one fold; a
    corpus with fewer of them than folds is tested in the first folds, and is for training and validation in the
    others. `published` folds are of speakers, and replace random ones.

    Whole corpora are tested in turn, one a fold. Of three or more the smallest that is not tested validates; of two,
    unseen speakers of the other one, as a share of its speakers.

    Parameters
    ----------
    clips
        A clip table; copies in it are left aside.
    settings
        The section `split` of the settings.
    emotions
        The section `emotions`: classes and merges.
    seed
        The run's.
    published
        Speaker -> the fold, from 1 on, that tests on them; as `ser.corpora.base.published_folds` gives it. Needed
        where `settings.fold_table` names a table, and ignored elsewhere.

    Returns
    -------
    DataFrame
        `COLUMNS`, sorted by clip_id, then by fold; folds count from 1.

    Raises
    ------
    UserError
        If there are too few speakers, sentences or corpora, a split would be empty, a fold would train on no clip of a
        class, or the only fold would have a split without it.
    """
    originals = select_clips(clips, emotions)[0]
    if settings.protocol == "cross_corpus":
        folds = _leave_one_corpus_out(originals, settings, seed=seed)
    else:
        folds = _split_each_corpus(originals, settings, seed=seed, published=published or {})
    table = pd.concat([originals.assign(fold=fold, split=split) for fold, split in enumerate(folds, start=1)])
    table = table.sort_values(["clip_id", "fold"], ignore_index=True)
    _check_splits(table, settings)
    _check_classes(table, settings)
    return table[list(COLUMNS)]


def _split_each_corpus(
    clips: pd.DataFrame, settings: Split, *, seed: int, published: Mapping[str, int]
) -> list["pd.Series[str]"]:
    """Divide each corpus by itself, so that it is divided alike in any company; give the splits of each fold."""
    corpora = [group for _, group in clips.groupby("corpus")]
    cuts = [_outer_folds(group, settings, seed=seed, published=published) for group in corpora]
    n_folds = max(map(len, cuts))
    if settings.fold_table is None and n_folds < settings.folds:
        raise UserError(
            f"split.folds: there are to be {settings.folds}, but no corpus has more than {n_folds} "
            f"{GROUP_COLUMNS.get(settings.protocol, 'clip')}s to test on in turn; set folds to {n_folds} or less."
        )
    assigned = [
        [_assign_fold(group, cut, settings, seed=seed) for cut in _pad_folds(cuts_of_group, group, n_folds)]
        for group, cuts_of_group in zip(corpora, cuts, strict=True)
    ]
    return [pd.concat(fold) for fold in zip(*assigned, strict=True)]


def _pad_folds(cuts: list[Fold], clips: pd.DataFrame, n_folds: int) -> list[Fold]:
    """Once the folds of a corpus are over, nothing of it is tested."""
    return cuts + [(clips, clips[:0])] * (n_folds - len(cuts))


def _outer_folds(clips: pd.DataFrame, settings: Split, *, seed: int, published: Mapping[str, int]) -> list[Fold]:
    """Cut what is tested off a corpus, in each of its folds."""
    if settings.fold_table is not None:
        tests = _published_tests(clips, settings.fold_table, published=published)
    elif _is_by_clip(clips, settings):
        return _random_folds(clips, settings, seed=_seed(clips, "test", seed=seed))
    else:
        tests = _drawn_tests(clips, settings, seed=_seed(clips, "test", seed=seed))
    return [(clips.drop(test), clips.loc[test]) for test in tests]


def _is_by_clip(clips: pd.DataFrame, settings: Split) -> bool:
    """Check whether clips are split at random: as requested, or because their speakers are unknown."""
    if settings.protocol == "text_independent":
        return False
    return settings.protocol == "random" or bool(is_unknown_speaker(clips).any())


def _seed(clips: pd.DataFrame, split: str, *, seed: int) -> int:
    return seeding.derive_seed(seed, "split", clips.corpus.iloc[0], split)


def _published_tests(clips: pd.DataFrame, table: str, *, published: Mapping[str, int]) -> list[pd.Index]:
    """Look up the clips that each fold of a published table tests on."""
    folds = clips.speaker.map(published)
    if folds.isna().any():
        raise UserError(
            f"split.fold_table: {table} has no speakers {', '.join(sorted(set(clips.speaker[folds.isna()])))}; set "
            "fold_table: null for random folds."
        )
    if folds.nunique() == 1:
        raise UserError(
            f"split.fold_table: a fold of {table} tests all present speakers of {clips.corpus.iloc[0]} and leaves none "
            "for training; get the whole corpus, or set fold_table: null."
        )
    return [clips.index[folds == fold] for fold in range(1, int(folds.max()) + 1)]


def _drawn_tests(clips: pd.DataFrame, settings: Split, *, seed: int) -> list[pd.Index]:
    """Draw the speakers or sentences to test on: a share of them, or all in turn."""
    group = GROUP_COLUMNS[settings.protocol]
    _check_groups(clips, group, protocol=settings.protocol)
    if settings.folds == 1:
        return [_hold_out(clips, group, share=settings.test_fraction, seed=seed)]
    return _group_folds(clips, group, folds=min(settings.folds, clips[group].nunique()), seed=seed)


def _check_groups(clips: pd.DataFrame, group: str, *, protocol: Protocol) -> None:
    corpus, n_groups = clips.corpus.iloc[0], clips[group].nunique()
    n_without = (clips[group] == "").sum()
    if n_without:
        raise UserError(
            f"split.protocol: {protocol} needs the {group} of every clip, but {n_without} clips of {corpus} (of "
            f"{len(clips)}) have none; add them, set protocol to speaker_independent or random, or remove {corpus} "
            "from corpora."
        )
    if n_groups < 2:
        raise UserError(
            f"split.protocol: {protocol} needs at least two {group}s, {corpus} has {n_groups}; set protocol: random."
        )


def _assign_fold(clips: pd.DataFrame, cut: Fold, settings: Split, *, seed: int) -> "pd.Series[str]":
    """Name the split of each clip of a corpus, in the order of its table."""
    rest, test = cut
    split = pd.Series("train", index=clips.index)
    split[test.index] = "test"
    split[_validation_indices(rest, clips, settings, seed=_seed(clips, "val", seed=seed))] = "val"
    return split


def _validation_indices(rest: pd.DataFrame, clips: pd.DataFrame, settings: Split, *, seed: int) -> pd.Index:
    """Choose what validates among the clips of a corpus that are not tested, grouped as the test is.

    The share counts what the whole corpus has.
    """
    if _is_by_clip(clips, settings):
        tested = 0 if len(rest) == len(clips) else settings.test_fraction if settings.folds == 1 else 1 / settings.folds
        return _draw_clips(rest, share=settings.val_fraction / (1 - tested), seed=seed)[1].index
    groups = ("sentence", "speaker") if settings.protocol == "text_independent" else ("speaker", "sentence")
    group = next((group for group in groups if rest[group].nunique() > 1), None)
    if group is None:
        raise UserError(
            f"split: {clips.corpus.iloc[0]} leaves one speaker and one sentence for training and validation; "
            "set protocol: random."
        )
    share = settings.val_fraction * clips[group].nunique() / rest[group].nunique()
    return _hold_out(rest, group, share=share, seed=seed)


def _hold_out(clips: pd.DataFrame, group: str, *, share: float, seed: int) -> pd.Index:
    """Choose about a share of the groups, such that emotions and sexes are as frequent as in the rest."""
    n_folds, n_held_out = _whole_folds(share, n_groups=clips[group].nunique())
    held_out = _group_folds(clips, group, folds=n_folds, seed=seed)[:n_held_out]
    return held_out[0].append(held_out[1:])


def _group_folds(clips: pd.DataFrame, group: str, *, folds: int, seed: int) -> list[pd.Index]:
    """Deal the groups out, such that emotions and sexes are about as frequent in each fold."""
    kfold = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    strata = _strata(clips.emotion + clips.sex, folds=folds)
    dealt = [clips.index[test] for _, test in kfold.split(clips, strata, clips[group])]
    if all(map(len, dealt)):
        return dealt
    # It is greedy, and of hardly more groups than folds may leave a fold without any.
    names = seeding.make_rng(seed, "split").permutation(sorted(clips[group].unique()))
    return [clips.index[clips[group].isin(names[fold::folds])] for fold in range(folds)]


def _strata(strata: "pd.Series[str]", *, folds: int) -> "pd.Series[str]":
    """Make one stratum of all where none has enough clips to be spread over the folds."""
    return strata if strata.value_counts().max() >= folds else pd.Series("", index=strata.index)


def _whole_folds(share: float, *, n_groups: int) -> tuple[int, int]:
    """Express a share of groups as some of as few folds as come within half a group of it."""
    wanted = max(1.0, share * n_groups)
    if wanted == 1:
        return n_groups, 1
    for folds in range(2, n_groups + 1):
        held_out = max(1, round(wanted * folds / n_groups))
        if held_out < folds and abs(held_out * n_groups / folds - wanted) < 0.5:
            return folds, held_out
    return n_groups, n_groups - 1


def _random_folds(clips: pd.DataFrame, settings: Split, *, seed: int) -> list[Fold]:
    """Split at random, as most notebooks do: the same voices and sentences on both sides."""
    if settings.folds == 1:
        return [_draw_clips(clips, share=settings.test_fraction, seed=seed)]
    counts = clips.emotion.value_counts()
    if counts.min() < settings.folds:
        raise UserError(
            f"split: {clips.corpus.iloc[0]} has too few clips of some emotion: {counts.min()} of {counts.idxmin()} for "
            f"{settings.folds} folds; lower folds, or leave the emotion out of emotions.use."
        )
    kfold = StratifiedKFold(n_splits=settings.folds, shuffle=True, random_state=seed)
    return [(clips.iloc[rest], clips.iloc[test]) for rest, test in kfold.split(clips, clips.emotion)]


def _draw_clips(clips: pd.DataFrame, *, share: float, seed: int) -> Fold:
    """Draw a share of the clips, and of each emotion's, but as many as there are emotions; give the others first."""
    counts = clips.emotion.value_counts()
    size = share if math.ceil(share * len(clips)) >= len(counts) else len(counts)
    try:
        rest, drawn = train_test_split(clips, test_size=size, stratify=clips.emotion, random_state=seed)
    except ValueError:
        raise UserError(
            f"split: {clips.corpus.iloc[0]} has too few clips of some emotion: {counts.min()} of {counts.idxmin()}; "
            "training, validation and test need some of each. Add recordings, or leave the emotion out of emotions.use."
        ) from None
    return rest, drawn


def _leave_one_corpus_out(clips: pd.DataFrame, settings: Split, *, seed: int) -> list["pd.Series[str]"]:
    """Test each corpus on its own; give the splits of each fold, in the order of the corpora's names."""
    names = sorted(clips.corpus.unique())
    if len(names) < 2:
        raise UserError(
            f"split.protocol: cross_corpus needs at least two corpora, the run has {names[0]} alone; add one."
        )
    if settings.folds not in (1, len(names)):
        raise UserError(
            f"split.folds: {settings.folds}, but protocol: cross_corpus tests each of the {len(names)} corpora in a "
            f"separate fold; set folds to 1 or {len(names)}."
        )
    return [_without(name, clips, settings, seed=seed) for name in names]


def _without(corpus: str, clips: pd.DataFrame, settings: Split, *, seed: int) -> "pd.Series[str]":
    """Test on one corpus, and validate on the smallest other one, or on a share of the only other one."""
    split = pd.Series("train", index=clips.index)
    split[clips.corpus == corpus] = "test"
    rest = clips[clips.corpus != corpus]
    sizes = rest.corpus.value_counts().sort_index()
    if len(sizes) > 1:
        split[rest.index[rest.corpus == sizes.idxmin()]] = "val"
    else:
        split[_validation_indices(rest, rest, settings, seed=_seed(rest, "val", seed=seed))] = "val"
    return split


def _check_splits(table: pd.DataFrame, settings: Split) -> None:
    """Refuse a fold without a split, such as a published one of whose speakers no recording is there."""
    for fold, splits in table.groupby("fold").split:
        absent = [split for split in SPLITS if split not in set(splits)]
        if absent:
            raise UserError(
                f"split: fold {fold} has no clip for {' and '.join(absent)} ({_settings(settings)}); get the whole of "
                "the corpora, lower folds, or set fold_table: null."
            )


def _check_classes(table: pd.DataFrame, settings: Split) -> None:
    """Refuse a split whose models would not know all classes; of one fold, also one that does not judge all."""
    classes = set(table.emotion)
    judged = table if table.fold.nunique() == 1 else table[table.split == "train"]
    for (fold, split), clips in judged.groupby(["fold", "split"]):
        absent = canonical_order(classes - set(clips.emotion))
        if absent:
            raise UserError(
                f"split: the {split} split of fold {fold} has no clip of {', '.join(absent)} ({_settings(settings)}); "
                f"{_way_out(absent, settings)}."
            )


def _settings(settings: Split) -> str:
    """Name the settings that matter."""
    keys: Mapping[str, Any] = settings.model_dump()
    return ", ".join(f"{key}: {value}" for key, value in keys.items() if value is not None)


def _way_out(absent: Sequence[str], settings: Split) -> str:
    if settings.protocol == "cross_corpus":
        return (
            "a model knows the emotions of its training corpora only: restrict emotions.use to those that all corpora "
            f"have, or count {absent[0]} as one of them in emotions.merge (such as calm: neutral)"
        )
    return "raise the share, change the seed, or leave the emotion out of emotions.use"


def assign_splits(clips: pd.DataFrame, splits: pd.DataFrame, *, augmented: bool = True) -> pd.DataFrame:
    """Give each clip, copies too, the class, fold and split of its original.

    Copies to learn from are kept in training only, copies for testing in testing only.

    Parameters
    ----------
    clips
        A clip table, with or without copies.
    splits
        A split table.
    augmented
        Whether training keeps its copies.

    Returns
    -------
    DataFrame
        The clip table with the run's `emotion`, and the columns fold and split.
    """
    joined = clips.drop(columns="emotion").merge(splits.rename(columns={"clip_id": "original_id"}), on="original_id")
    splits_of_copies = is_corrupted(joined).map({True: "test", False: "train" if augmented else ""})
    kept = joined[(joined.augmentation == "") | (joined.split == splits_of_copies)]
    return kept.sort_values(["original_id", "clip_id", "fold"], ignore_index=True)


def grouped_cv(
    clips: pd.DataFrame, *, folds: int, seed: int, protocol: Protocol = "speaker_independent"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut training clips into folds for a grid search: by what the test holds out, as far as there are two of it.

    Speakers (also for corpora), of which there may be but one: then sentences, and at last originals.

    Parameters
    ----------
    clips
        Training clips with a column emotion; copies stay with their originals, as they share speaker and sentence.
    folds
        How many, at most one a group.
    seed
        The run's.
    protocol
        Of the section `split` of the settings.

    Returns
    -------
    list of (ndarray, ndarray)
        Row positions to train and to test on.
    """
    groups = _groups(clips, protocol)
    n_splits = min(folds, groups.nunique())
    random_state = seeding.derive_seed(seed, "grid search")
    kfold = StratifiedGroupKFold(n_splits=n_splits, shuffle=True, random_state=random_state)
    # By corpus too: else one of few folds may hold all speakers of a corpus, and with them all clips of an emotion.
    strata = _strata(clips.corpus + clips.emotion, folds=n_splits)
    return list(kfold.split(clips, strata, groups))


def _groups(clips: pd.DataFrame, protocol: Protocol) -> "pd.Series[str]":
    """Say what stays together in a grid search: copies and their original, and what the test holds out."""
    speakers = clips.speaker.where(~is_unknown_speaker(clips), clips.original_id)
    sentences = clips.sentence.where(clips.sentence != "", clips.original_id)
    choices = {"random": [], "text_independent": [sentences]}.get(protocol, [speakers, clips.sentence])
    return next((group for group in choices if group.nunique() >= 2), clips.original_id)
