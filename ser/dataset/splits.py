"""Split the clips of a run into training, validation and test sets.

A split table has one row per original clip and fold, with `COLUMNS`: `emotion` is the class of the clip, `split` one of
`SPLITS`. Augmented clips are not listed, as they have the split of their original.
"""

import itertools
import math
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, train_test_split

from ser.dataset.clip_metadata import is_corrupted, is_unknown_speaker
from ser.dataset.selection import select_clips
from ser.dataset.split_advice import suggest_settings
from ser.labels import canonical_order, label_map
from ser.params import Emotions, Protocol, Split
from ser.utils import seeding
from ser.utils.errors import UserError

COLUMNS = ("clip_id", "emotion", "fold", "split")
SPLITS = ("train", "val", "test")
T = TypeVar("T")
Fold = tuple[pd.DataFrame, pd.DataFrame]
"""Clips of a corpus for training and validation, and clips for testing."""
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
    """Assign each original clip of the run to training, validation or test, in each fold; a recording is never divided.

    Parameters
    ----------
    clips : DataFrame
        Clip table; augmented clips are ignored.
    settings, emotions, seed
        Sections `split` and `emotions`, and `data_seed` of the settings.
    published : mapping of str to int, optional
        Speaker -> fold, from 1, that tests the speaker; result of `ser.corpora.base.published_folds`. Required if
        `settings.fold_table` is not null, and ignored otherwise.

    Returns
    -------
    DataFrame
        `COLUMNS`, sorted by clip_id and fold; folds start at 1.

    Raises
    ------
    UserError
        If there are too few speakers, sentences or corpora, a split is empty, a class has no training clips in a fold,
        or, with one fold, a class is missing in a split.

    Notes
    -----
    Each corpus is split independently of the others; one with fewer speakers than folds is tested in the first folds
    only. Validation clips are held out like test clips; if only one speaker remains, by sentence, and if only one
    sentence remains, by speaker. Corpora with unknown speakers are split by clip instead of by speaker.

    With `cross_corpus`, each fold tests a corpus and validates on the smallest of several others, or on some speakers
    of the only other one.
    """

    def split(settings: Split, emotions: Emotions) -> pd.DataFrame:
        return _split_clips(clips, settings, emotions=emotions, seed=seed, published=published or {})

    return _split_or_suggest(split, clips, settings, emotions)


def check_corpus(
    clips: pd.DataFrame,
    settings: Split,
    *,
    emotions: Emotions,
    seed: int,
    published: Mapping[str, int] | None = None,
) -> None:
    """Check whether a corpus can be split, whatever the other corpora of the run are.

    Parameters are those of `split_clips`; `clips` has one corpus of several.

    Raises
    ------
    UserError
        If there are too few speakers, sentences or clips.
    """

    def split(settings: Split, emotions: Emotions) -> object:
        labels = clips.emotion.map(label_map(emotions.classes, emotions.merge))
        selected = clips.assign(emotion=labels)[labels.notna()]
        if settings.protocol == "cross_corpus" or selected.empty:
            return None
        folds = _outer_folds(selected, settings, seed=seed, published=published or {})
        return _assign_folds(selected, folds, settings, seed=seed)

    _split_or_suggest(split, clips, settings, emotions)


def _split_or_suggest(
    split: Callable[[Split, Emotions], T], clips: pd.DataFrame, settings: Split, emotions: Emotions
) -> T:
    try:
        return split(settings, emotions)
    except UserError as error:
        originals = clips[clips.augmentation == ""]
        raise UserError(f"{error}{suggest_settings(split, originals, settings, emotions)}") from None


def _split_clips(
    clips: pd.DataFrame, settings: Split, *, emotions: Emotions, seed: int, published: Mapping[str, int]
) -> pd.DataFrame:
    originals = select_clips(clips, emotions)[0]
    recordings = originals.drop_duplicates("recording_id", ignore_index=True)
    if settings.protocol == "cross_corpus":
        folds = _leave_one_corpus_out(recordings, settings, seed=seed)
    else:
        folds = _split_each_corpus(recordings, settings, seed=seed, published=published)
    table = pd.concat([recordings.assign(fold=fold, split=split) for fold, split in enumerate(folds, start=1)])
    table = table.drop(columns="clip_id").merge(originals[["clip_id", "recording_id"]], on="recording_id")
    table = table.sort_values(["clip_id", "fold"], ignore_index=True)
    _check_splits(table, settings)
    return table[list(COLUMNS)]


def _split_each_corpus(
    clips: pd.DataFrame, settings: Split, *, seed: int, published: Mapping[str, int]
) -> list["pd.Series[str]"]:
    """Compute the split of each clip, for each fold."""
    corpora = [group for _, group in clips.groupby("corpus")]
    folds_of = [_outer_folds(group, settings, seed=seed, published=published) for group in corpora]
    n_folds = max(map(len, folds_of))
    if settings.fold_table is None and n_folds < settings.folds:
        raise UserError(
            f"split.folds: {settings.folds}, but no corpus has more than {n_folds} "
            f"{GROUP_COLUMNS.get(settings.protocol, 'clip')}s."
        )
    assigned = []
    for group, folds in zip(corpora, folds_of, strict=True):
        padded = folds + [(group, group[:0])] * (n_folds - len(folds))
        assigned.append(_assign_folds(group, padded, settings, seed=_seed(group, "val", seed=seed)))
    return [pd.concat(fold) for fold in zip(*assigned, strict=True)]


def _outer_folds(clips: pd.DataFrame, settings: Split, *, seed: int, published: Mapping[str, int]) -> list[Fold]:
    if settings.fold_table is not None:
        tests = _published_tests(clips, settings.fold_table, published=published)
    elif _is_by_clip(clips, settings):
        return _random_folds(clips, settings, seed=_seed(clips, "test", seed=seed))
    else:
        tests = _group_tests(clips, settings, seed=_seed(clips, "test", seed=seed))
    return [(clips.drop(test), clips.loc[test]) for test in tests]


def _is_by_clip(clips: pd.DataFrame, settings: Split) -> bool:
    if settings.protocol == "text_independent":
        return False
    return settings.protocol == "random" or bool(is_unknown_speaker(clips).any())


def _seed(clips: pd.DataFrame, split: str, *, seed: int) -> int:
    return seeding.derive_seed(seed, "split", clips.corpus.iloc[0], split)


def _published_tests(clips: pd.DataFrame, table: str, *, published: Mapping[str, int]) -> list[pd.Index]:
    folds = clips.speaker.map(published)
    if folds.isna().any():
        raise UserError(
            f"split.fold_table: {table} has no speakers {', '.join(sorted(set(clips.speaker[folds.isna()])))}."
        )
    if folds.nunique() == 1:
        raise UserError(
            f"split.fold_table: a fold of {table} tests all present speakers of {clips.corpus.iloc[0]} and leaves none "
            "for training; get the whole corpus."
        )
    return [clips.index[folds == fold] for fold in range(1, int(folds.max()) + 1)]


def _group_tests(clips: pd.DataFrame, settings: Split, *, seed: int) -> list[pd.Index]:
    """Choose the speakers or sentences that each fold tests."""
    group, corpus = GROUP_COLUMNS[settings.protocol], clips.corpus.iloc[0]
    n_without, n_groups = (clips[group] == "").sum(), clips[group].nunique()
    if n_without:
        raise UserError(
            f"split.protocol: {settings.protocol} needs the {group} of every clip, but {n_without} clips of {corpus} "
            f"(of {len(clips)}) have none; add them, or remove {corpus} from corpora."
        )
    if n_groups < 2:
        raise UserError(
            f"split.protocol: {settings.protocol} needs at least two {group}s, {corpus} has {n_groups}; add recordings."
        )
    if settings.folds == 1:
        return [_hold_out(clips, group, fraction=settings.test_fraction, seed=seed)]
    return _group_folds(clips, group, n_folds=min(settings.folds, n_groups), seed=seed)


def _assign_folds(clips: pd.DataFrame, folds: Sequence[Fold], settings: Split, *, seed: int) -> list["pd.Series[str]"]:
    assigned: list[pd.Series[str]] = []
    for rest, test in folds:
        validated = [clips.index[split == "val"] for split in assigned]
        split = pd.Series("train", index=clips.index)
        split[test.index] = "test"
        split[_validation_indices(rest, clips, settings, seed=seed, validated=validated)] = "val"
        assigned.append(split)
    return assigned


def _validation_indices(
    rest: pd.DataFrame, clips: pd.DataFrame, settings: Split, *, seed: int, validated: Sequence[pd.Index] = ()
) -> pd.Index:
    """Choose the validation clips among the clips that are not tested; `val_fraction` is of all clips of the corpus.

    `validated` has the validation clips of earlier folds, whose speakers or sentences are avoided.
    """
    if _is_by_clip(clips, settings):
        tested = 0 if len(rest) == len(clips) else settings.test_fraction if settings.folds == 1 else 1 / settings.folds
        return _draw_clips(rest, fraction=settings.val_fraction / (1 - tested), seed=seed)[1].index
    groups = ("sentence", "speaker") if settings.protocol == "text_independent" else ("speaker", "sentence")
    group = next((group for group in groups if rest[group].nunique() > 1), None)
    if group is None:
        raise UserError(
            f"split: {clips.corpus.iloc[0]} leaves one speaker and one sentence for training and validation; add "
            "recordings."
        )
    fraction = settings.val_fraction * clips[group].nunique() / rest[group].nunique()
    used = Counter(name for fold in validated for name in clips[group][fold].unique())
    return _hold_out(rest, group, fraction=fraction, seed=seed, used=used)


def _hold_out(
    clips: pd.DataFrame, group: str, *, fraction: float, seed: int, used: Mapping[str, int] | None = None
) -> pd.Index:
    """Choose about a fraction of the groups, stratified by emotion and sex; those held out least often before first."""
    n_folds, n_held_out = _as_folds(fraction, n_groups=clips[group].nunique())
    held_out = _group_folds(clips, group, n_folds=n_folds, seed=seed)
    held_out.sort(key=lambda fold: sum((used or {}).get(name, 0) for name in clips[group][fold].unique()))
    return held_out[0].append(held_out[1:n_held_out])


def _group_folds(clips: pd.DataFrame, group: str, *, n_folds: int, seed: int) -> list[pd.Index]:
    """Distribute the groups over folds, stratified by emotion and sex."""
    kfold = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=seed)
    strata = _strata(clips.emotion + clips.sex, n_folds=n_folds)
    folds = [clips.index[test] for _, test in _split_quietly(kfold, clips, strata, clips[group])]
    if all(map(len, folds)):
        return folds
    # StratifiedGroupKFold is greedy, and may leave a fold empty if there are hardly more groups than folds.
    names = seeding.make_rng(seed, "split").permutation(sorted(clips[group].unique()))
    return [clips.index[clips[group].isin(names[fold::n_folds])] for fold in range(n_folds)]


def _strata(strata: "pd.Series[str]", *, n_folds: int) -> "pd.Series[str]":
    """Replace the strata by a single one if none has a clip per fold, which scikit-learn rejects."""
    return strata if strata.value_counts().max() >= n_folds else pd.Series("", index=strata.index)


def _split_quietly(kfold: StratifiedGroupKFold, *data: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split without scikit-learn's warning about strata with fewer clips than folds; `_check_splits` checks classes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(kfold.split(*data))


def _as_folds(fraction: float, *, n_groups: int) -> tuple[int, int]:
    """Approximate a fraction of groups, to half a group, by some of as few folds as possible: (folds, held out)."""
    target = max(1.0, fraction * n_groups)
    if target == 1:
        return n_groups, 1
    for n_folds in range(2, n_groups + 1):
        n_held_out = max(1, round(target * n_folds / n_groups))
        if n_held_out < n_folds and abs(n_held_out * n_groups / n_folds - target) < 0.5:
            return n_folds, n_held_out
    return n_groups, n_groups - 1


def _random_folds(clips: pd.DataFrame, settings: Split, *, seed: int) -> list[Fold]:
    if settings.folds == 1:
        return [_draw_clips(clips, fraction=settings.test_fraction, seed=seed)]
    if clips.emotion.value_counts().min() < settings.folds:
        raise _too_few_clips(clips)
    kfold = StratifiedKFold(n_splits=settings.folds, shuffle=True, random_state=seed)
    return [(clips.iloc[rest], clips.iloc[test]) for rest, test in kfold.split(clips, clips.emotion)]


def _draw_clips(clips: pd.DataFrame, *, fraction: float, seed: int) -> Fold:
    """Draw a fraction of the clips of each emotion, but at least as many clips as there are emotions: (rest, drawn)."""
    counts = clips.emotion.value_counts()
    size = fraction if math.ceil(fraction * len(clips)) >= len(counts) else len(counts)
    try:
        rest, drawn = train_test_split(clips, test_size=size, stratify=clips.emotion, random_state=seed)
    except ValueError:
        raise _too_few_clips(clips) from None
    return rest, drawn


def _too_few_clips(clips: pd.DataFrame) -> UserError:
    counts = clips.emotion.value_counts()
    return UserError(
        f"split: {clips.corpus.iloc[0]} has too few clips of some emotion: {counts.min()} of {counts.idxmin()}; add "
        "recordings."
    )


def _leave_one_corpus_out(clips: pd.DataFrame, settings: Split, *, seed: int) -> list["pd.Series[str]"]:
    """Compute the split of each clip, for each fold; folds are in alphabetical order of the corpora."""
    names = sorted(clips.corpus.unique())
    if len(names) < 2:
        raise UserError(
            f"split.protocol: cross_corpus needs at least two corpora, the run has only {names[0]}; add one."
        )
    if settings.folds not in (1, len(names)):
        raise UserError(
            f"split.folds: {settings.folds}, but protocol: cross_corpus tests each of the {len(names)} corpora in a "
            f"separate fold; set folds to 1 or {len(names)}."
        )
    folds = []
    for name in names:
        split = pd.Series("train", index=clips.index)
        split[clips.corpus == name] = "test"
        rest = clips[clips.corpus != name]
        sizes = rest.corpus.value_counts().sort_index()
        if len(sizes) > 1:
            split[rest.index[rest.corpus == sizes.idxmin()]] = "val"
        else:
            split[_validation_indices(rest, rest, settings, seed=_seed(rest, "val", seed=seed))] = "val"
        folds.append(split)
    return folds


def _check_splits(table: pd.DataFrame, settings: Split) -> None:
    """Check that no split is empty, and that each class is in training and, with one fold, in all splits."""
    classes, n_folds = set(table.emotion), table.fold.nunique()
    for fold, split in itertools.product(range(1, n_folds + 1), SPLITS):
        emotions = set(table.emotion[(table.fold == fold) & (table.split == split)])
        absent = canonical_order(classes - emotions)
        if not absent or (emotions and split != "train" and n_folds > 1):
            continue
        fix = "add recordings of other speakers, or change the fractions or data_seed"
        if not emotions:
            fix = "get the complete corpora"
        elif settings.protocol == "cross_corpus":
            fix = (
                "each emotion must be in the training corpora: restrict emotions.use to those of all corpora, or "
                f"merge {absent[0]} into one of them by emotions.merge (such as calm: neutral)"
            )
        keys = ", ".join(f"{key}: {value}" for key, value in settings.model_dump(exclude_none=True).items())
        raise UserError(f"split: the {split} split of fold {fold} has no clip of {', '.join(absent)} ({keys}); {fix}.")


def assign_splits(
    clips: pd.DataFrame, splits: pd.DataFrame, *, augmentations: Collection[str] | None = None
) -> pd.DataFrame:
    """Assign clips, including augmented and corrupted ones, the class, fold and split of their original.

    Augmented clips are kept in training only, corrupted clips in test only.

    Parameters
    ----------
    clips : DataFrame
        Clip table.
    splits : DataFrame
        Split table.
    augmentations : collection of str, optional
        Augmentations whose clips are kept; all by default.

    Returns
    -------
    DataFrame
        Clip table with the class as `emotion`, and the columns fold and split.
    """
    joined = clips.drop(columns="emotion").merge(splits.rename(columns={"clip_id": "original_id"}), on="original_id")
    is_kept = True if augmentations is None else joined.augmentation.isin(augmentations)
    kept = joined[
        (joined.augmentation == "")
        | (is_corrupted(joined) & (joined.split == "test"))
        | ((joined.split == "train") & ~is_corrupted(joined) & is_kept)
    ]
    return kept.sort_values(["original_id", "clip_id", "fold"], ignore_index=True)


def grouped_cv(
    clips: pd.DataFrame, *, folds: int, seed: int, protocol: Protocol = "speaker_independent"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split training clips into folds for a grid search, grouped like the test set.

    Parameters
    ----------
    clips : DataFrame
        Training clips. Augmented clips are in the fold of their original.
    folds : int
        Maximum number of folds; there are never more folds than groups.
    seed : int
        Seed of the model.
    protocol : str
        `split.protocol` of the settings.

    Returns
    -------
    list of (ndarray, ndarray)
        Row positions for training and for testing.

    Notes
    -----
    Groups are speakers, or sentences if there is only one speaker (or the protocol is text-independent), or else
    recordings.
    """
    speakers = clips.speaker.where(~is_unknown_speaker(clips), clips.recording_id)
    sentences = clips.sentence.where(clips.sentence != "", clips.recording_id)
    choices = {"random": [], "text_independent": [sentences]}.get(protocol, [speakers, clips.sentence])
    groups = next((group for group in choices if group.nunique() >= 2), clips.recording_id)
    n_splits = min(folds, groups.nunique())
    random_state = seeding.derive_seed(seed, "grid search")
    kfold = StratifiedGroupKFold(n_splits=n_splits, shuffle=True, random_state=random_state)
    # Stratify by corpus too, so that no fold has all speakers of a corpus, and thus all clips of an emotion.
    strata = _strata(clips.corpus + clips.emotion, n_folds=n_splits)
    return _split_quietly(kfold, clips, strata, groups)
