"""Who is trained, validated and tested on what, as pure table work.

A split table has one row per original clip: ``clip_id, emotion, fold, part``. `emotion` is the clip's class in this
run, after merging; clips of other emotions are not in the table. `part` is train, val or test. Copies are never
listed: they follow their source.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from ser import seeds
from ser.emotions import EMOTIONS, in_order, label_map
from ser.errors import InputError
from ser.params import Emotions, Split
from ser.speakers import are_unknown

COLUMNS = ("clip_id", "emotion", "fold", "part")
LEFT_OUT = ("clip_id", "reason")
PARTS = ("train", "val", "test")


def split_clips(clips: pd.DataFrame, settings: Split, *, emotions: Emotions, seed: int) -> pd.DataFrame:
    """Assign every original clip of the run's classes to training, validation or test.

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

    Returns
    -------
    DataFrame
        `COLUMNS`, sorted by clip_id.

    Raises
    ------
    InputError
        If speakers are too few to be held out, or a part would lack a class.
    """
    originals = choose(clips, emotions)[0]
    parts = [_parts(group, settings, seed=seed) for _, group in originals.groupby("corpus")]
    table = originals.assign(fold=1, part=pd.concat(parts)).sort_values("clip_id", ignore_index=True)
    _check_classes(table, settings)
    return table[list(COLUMNS)]


def choose(clips: pd.DataFrame, emotions: Emotions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the clips of a run: originals of its classes, each sound once.

    Parameters
    ----------
    clips
        A clip table; copies in it are left aside.
    emotions
        The section `emotions` of the settings.

    Returns
    -------
    chosen : DataFrame
        Clips with merged emotions renamed, sorted by clip_id.
    left_out : DataFrame
        `LEFT_OUT` of the other originals, sorted by clip_id.

    Raises
    ------
    InputError
        If fewer than two classes have clips, or the settings name an emotion beyond the usual that no corpus has.
    """
    originals = clips[clips.augmentation == ""].sort_values("clip_id", ignore_index=True)
    _check_named(originals, emotions)
    labels = originals.emotion.map(label_map(emotions.classes, emotions.merge))
    first = originals.groupby("content").clip_id.transform("first")
    repeated = originals.clip_id != first
    chosen = originals.assign(emotion=labels)[labels.notna() & ~repeated].reset_index(drop=True)
    if chosen.emotion.nunique() < 2:
        raise InputError(
            f"emotions.use leaves clips of {in_order(list(chosen.emotion)) or 'no emotion'}; at least two classes are "
            f"needed, and the corpora have {', '.join(in_order(list(clips.emotion)))}."
        )
    reasons = ("emotions: " + originals.emotion + " is none of this run's").where(
        ~repeated, "holds the same sound as " + first
    )
    left_out = originals.assign(reason=reasons)[labels.isna() | repeated]
    return chosen, left_out[list(LEFT_OUT)].reset_index(drop=True)


def _check_named(clips: pd.DataFrame, emotions: Emotions) -> None:
    """Refuse words that mean nothing here: of the usual emotions a corpus may lack some, other words must be found."""
    named = {"extra": set(emotions.extra), "merge": set(emotions.merge) | set(emotions.merge.values())}
    found = {*EMOTIONS, *emotions.extra, *clips.emotion}
    for key, words in named.items():
        unknown = sorted(words - (found if key == "merge" else set(clips.emotion)))
        if unknown:
            raise InputError(
                f"emotions.{key}: no clip is labelled {', '.join(unknown)}; the corpora have "
                f"{', '.join(in_order(list(clips.emotion)))}."
            )


def _parts(clips: pd.DataFrame, settings: Split, *, seed: int) -> "pd.Series[str]":
    """Divide a corpus; where nobody knows who speaks, speakers cannot be held out."""
    by_clip = settings.hold_out == "clip" or are_unknown(clips).any()
    return (_by_clip if by_clip else _by_speaker)(clips, settings, seed=seed)


def _by_speaker(clips: pd.DataFrame, settings: Split, *, seed: int) -> "pd.Series[str]":
    """Test and validate on speakers that are not trained on; validation falls back on unseen texts."""
    corpus = clips.corpus.iloc[0]
    part = pd.Series("train", index=clips.index)
    n_speakers = clips.speaker.nunique()
    if n_speakers < 2:
        raise InputError(
            f"split.hold_out: speaker needs at least two speakers, {corpus} has {n_speakers}; use hold_out: clip."
        )
    part[_hold_out(clips, "speaker", share=settings.test, seed=seeds.integer(seed, "split", corpus, "test"))] = "test"
    rest = clips[part == "train"]
    group = "speaker" if rest.speaker.nunique() > 1 else "text"
    if rest[group].nunique() < 2:
        raise InputError(
            f"split: {corpus} leaves one speaker and one text for training and validation; use hold_out: clip."
        )
    share = settings.val * clips[group].nunique() / rest[group].nunique()
    part[_hold_out(rest, group, share=share, seed=seeds.integer(seed, "split", corpus, "val"))] = "val"
    return part


def _hold_out(clips: pd.DataFrame, group: str, *, share: float, seed: int) -> pd.Index:
    """Choose about a share of the groups, such that emotions and sexes are as frequent as in the rest."""
    n_folds, n_held_out = _whole_folds(share, n_groups=clips[group].nunique())
    folds = StratifiedGroupKFold(n_splits=n_folds, shuffle=True, random_state=seed)
    strata = _strata(clips.emotion + clips.sex, folds=n_folds)
    held_out = [test for _, test in folds.split(clips, strata, clips[group])][:n_held_out]
    return clips.index[np.concatenate(held_out)]


def _strata(strata: "pd.Series[str]", *, folds: int) -> "pd.Series[str]":
    """Make one stratum of all where none has enough clips to be spread over the folds."""
    return strata if strata.value_counts().max() >= folds else pd.Series("", index=strata.index)


def _whole_folds(share: float, *, n_groups: int) -> tuple[int, int]:
    """Express a share of groups as some of as few folds as come within half a group of it."""
    wanted = max(1.0, share * n_groups)
    for folds in range(2, n_groups + 1):
        held_out = max(1, round(wanted * folds / n_groups))
        if held_out < folds and abs(held_out * n_groups / folds - wanted) < 0.5:
            return folds, held_out
    return n_groups, n_groups - 1


def _by_clip(clips: pd.DataFrame, settings: Split, *, seed: int) -> "pd.Series[str]":
    """Split at random, as most notebooks do: the same voices and sentences on both sides."""
    corpus = clips.corpus.iloc[0]
    part = pd.Series("train", index=clips.index)
    try:
        rest, test = train_test_split(
            clips,
            test_size=settings.test,
            stratify=clips.emotion,
            random_state=seeds.integer(seed, "split", corpus, "test"),
        )
        _, val = train_test_split(
            rest,
            test_size=settings.val / (1 - settings.test),
            stratify=rest.emotion,
            random_state=seeds.integer(seed, "split", corpus, "val"),
        )
    except ValueError as error:
        raise InputError(f"split: {corpus} has too few clips of some emotion for a stratified split: {error}") from None
    part[test.index] = "test"
    part[val.index] = "val"
    return part


def _check_classes(table: pd.DataFrame, settings: Split) -> None:
    classes = set(table.emotion)
    for (fold, part), clips in table.groupby(["fold", "part"]):
        absent = in_order(classes - set(clips.emotion))
        if absent:
            raise InputError(
                f"split: part {part} of fold {fold} has no clip of {', '.join(absent)} (hold_out: {settings.hold_out}, "
                f"test: {settings.test}, val: {settings.val}); raise the share, change the seed, or leave the emotion "
                "out of emotions.use."
            )


def with_parts(clips: pd.DataFrame, splits: pd.DataFrame, *, copies: Sequence[str] = ("train",)) -> pd.DataFrame:
    """Give each clip, copies too, the class, fold and part of its source.

    Parameters
    ----------
    clips
        A clip table, with or without copies.
    splits
        A split table.
    copies
        Parts in which copies are kept: training only, unless robustness is tested.

    Returns
    -------
    DataFrame
        The clip table with the run's `emotion`, and the columns fold and part.
    """
    joined = clips.drop(columns="emotion").merge(splits.rename(columns={"clip_id": "source"}), on="source")
    kept = joined[(joined.augmentation == "") | joined.part.isin(copies)]
    return kept.sort_values(["source", "clip_id"], ignore_index=True)


def inner_folds(clips: pd.DataFrame, *, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut training clips into folds for a grid search: by speaker, by text where one is left, else by source.

    Parameters
    ----------
    clips
        Training clips with a column emotion; copies stay with their sources, as they share speaker and text.
    folds
        How many, at most one a group.
    seed
        The run's.

    Returns
    -------
    list of (ndarray, ndarray)
        Row positions to train and to test on.
    """
    groups = _groups(clips)
    n_splits = min(folds, groups.nunique())
    random_state = seeds.integer(seed, "grid search")
    kfold = StratifiedGroupKFold(n_splits=n_splits, shuffle=True, random_state=random_state)
    # By corpus too: else one of few folds may hold all speakers of a corpus, and with them all clips of an emotion.
    strata = _strata(clips.corpus + clips.emotion, folds=n_splits)
    return list(kfold.split(clips, strata, groups))


def _groups(clips: pd.DataFrame) -> "pd.Series[str]":
    """Say what stays together in a grid search: a speaker, a text where there is one speaker, else a source."""
    speakers = clips.speaker.where(~are_unknown(clips), clips.source)
    return next(group for group in (speakers, clips.text, clips.source) if group.nunique() >= 2)
