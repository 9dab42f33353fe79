"""Test the invariants of splits on tables like those of the corpora: no leakage, all classes, and determinism."""

import re
import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ser.dataset import splits
from ser.labels import EMOTIONS
from ser.params import Emotions, Split
from ser.utils.errors import UserError
from tests.helpers import factories

TABLES = {
    "ravdess": factories.ravdess,
    "tess": factories.tess,
    "ravdess+tess": lambda: factories.joined(factories.ravdess(), factories.tess()),
    "demo": factories.demo,
}
SEEDS = (1, 2, 3)
PROTOCOLS = ("speaker_independent", "random")
BY_SPEAKER = factories.split("speaker_independent")
ONE_CLASS = factories.emotions("neutral", "calm", calm="neutral")
KINDS = ("noise", "robustness_noise_10db")


@cache
def table(corpora: str) -> pd.DataFrame:
    return TABLES[corpora]()


def split_of(clips: pd.DataFrame, settings: Split = BY_SPEAKER, *, seed: int = 1, emotions: Any = None) -> pd.DataFrame:
    return splits.split_clips(clips, settings, emotions=emotions or factories.emotions(), seed=seed)


@cache
def split(corpora: str, protocol: str = "speaker_independent", seed: int = 1) -> pd.DataFrame:
    return split_of(table(corpora), factories.split(protocol), seed=seed)


def assigned(corpora: str, protocol: str = "speaker_independent", seed: int = 1) -> pd.DataFrame:
    """Original clips with their split."""
    return splits.assign_splits(table(corpora), split(corpora, protocol, seed))


def values(clips: pd.DataFrame, column: str, *subsets: str) -> set[str]:
    return set(clips[clips.split.isin(subsets)][column])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("corpora", TABLES)
def test_each_clip_is_in_one_split_and_each_class_in_all(corpora: str, protocol: str, seed: int) -> None:
    """The split table is sorted and has the emotion of each clip."""
    result = split(corpora, protocol, seed)
    assert tuple(result.columns) == splits.COLUMNS
    expected = table(corpora)[["clip_id", "emotion"]].sort_values("clip_id", ignore_index=True)
    pd.testing.assert_frame_equal(result[["clip_id", "emotion"]], expected)
    assert set(result.split) == {"train", "val", "test"}
    assert set(result.fold) == {1}
    for subset, clips in result.groupby("split"):
        assert set(clips.emotion) == set(expected.emotion), subset


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("corpora", TABLES)
def test_split_depends_only_on_the_seed(corpora: str, protocol: str) -> None:
    """The order of rows and augmented clips do not matter."""
    shuffled = factories.with_copies(table(corpora)).sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(split_of(shuffled, factories.split(protocol)), split(corpora, protocol))
    assert len({tuple(split(corpora, protocol, seed).split) for seed in SEEDS}) > 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_split_of_a_corpus_does_not_depend_on_other_corpora(protocol: str) -> None:
    """Results of one and of several corpora can be compared."""
    both = split("ravdess+tess", protocol)
    for corpus in ("ravdess", "tess"):
        subset = both[both.clip_id.str.startswith(corpus)].reset_index(drop=True)
        pd.testing.assert_frame_equal(subset, split(corpus, protocol))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("corpora", TABLES)
def test_test_and_validation_speakers_are_not_in_training(corpora: str, seed: int) -> None:
    """Of two speakers, one is in test, and the sentences of validation are not in training."""
    clips = assigned(corpora, seed=seed)
    assert not values(clips, "speaker", "test") & values(clips, "speaker", "train", "val")
    for corpus, subset in clips.groupby("corpus"):
        column = "sentence" if corpus == "tess" else "speaker"
        assert not values(subset, column, "val") & values(subset, column, "train")


@pytest.mark.parametrize("seed", range(8))
def test_held_out_speakers_of_ravdess_are_balanced_by_sex(seed: int) -> None:
    """Of 24 speakers, 15 % are in test and 15 % in validation: two women and two men each."""
    clips = splits.assign_splits(table("ravdess"), split_of(table("ravdess"), seed=seed))
    for subset in ("test", "val"):
        speakers = clips[clips.split == subset].drop_duplicates("speaker")
        assert speakers.sex.value_counts().to_dict() == {"f": 2, "m": 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_fractions_of_few_speakers(seed: int) -> None:
    """They are rounded to speakers; of TESS, one speaker and 15 % of the words of the other are held out."""
    assert assigned("demo", seed=seed).groupby("split").speaker.nunique().to_dict() == {"test": 2, "val": 2, "train": 8}
    clips = assigned("tess", seed=seed)
    assert len(values(clips, "speaker", "test")) == 1
    assert len(values(clips, "sentence", "val")) / 200 == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize(("test", "val"), [(0.1, 0.1), (0.2, 0.04), (0.25, 0.25), (0.34, 0.33), (0.4, 0.2), (0.6, 0.2)])
def test_fractions_of_many_speakers(test: float, val: float) -> None:
    """The number of held-out speakers differs from the fraction by at most one."""
    settings = factories.split("speaker_independent", test=test, val=val)
    n_speakers = splits.assign_splits(table("ravdess"), split_of(table("ravdess"), settings)).groupby("split").speaker
    assert n_speakers.nunique()["test"] == pytest.approx(24 * test, abs=1)
    assert n_speakers.nunique()["val"] == pytest.approx(24 * val, abs=1)


@pytest.mark.parametrize("val", [0.04, 0.15, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_validation_speakers_vary_over_folds(val: float, seed: int) -> None:
    """No speaker of RAVDESS is in validation in more than half of six folds; women and men are balanced as before."""
    settings = factories.split("speaker_independent", folds=6, val=val)
    clips = splits.assign_splits(table("ravdess"), split_of(table("ravdess"), settings, seed=seed))
    speakers = clips[clips.split == "val"].drop_duplicates(["fold", "speaker"])
    assert speakers.fold.nunique() == 6
    assert speakers.groupby("fold").speaker.agg(frozenset).nunique() == 6
    assert speakers.speaker.value_counts().max() <= (1 if val == 0.04 else 3)
    if val == 0.15:
        assert (speakers.groupby(["fold", "sex"]).size() == 2).all()


def test_validation_sentences_vary_over_folds() -> None:
    """Folds with one speaker for training and validation hold out other sentences each."""
    settings = factories.split("speaker_independent", folds=2, val=0.15)
    clips = splits.assign_splits(table("tess"), split_of(table("tess"), settings))
    first, second = (set(rows.sentence) for _, rows in clips[clips.split == "val"].groupby("fold"))
    assert not first & second


def test_three_speakers_are_in_one_split_each() -> None:
    """Three is the smallest number with a validation speaker."""
    clips = factories.ravdess(actors=[1, 2, 3])
    result = splits.assign_splits(clips, split_of(clips))
    assert result.groupby("split").speaker.nunique().to_dict() == {"test": 1, "train": 1, "val": 1}


def test_unknown_speakers_are_split_by_clip() -> None:
    """Other corpora are split by speaker."""
    clips = table("ravdess+tess")
    clips = clips.assign(speaker=clips.speaker.where(clips.corpus == "ravdess", "tess-"))
    result = split_of(clips).merge(clips.drop(columns="emotion"), on="clip_id")
    subsets = result.groupby("speaker").split.agg(set)
    assert subsets["tess-"] == {"train", "val", "test"}
    assert all(len(subset) == 1 for subset in subsets.drop("tess-"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("corpora", TABLES)
def test_random_split_is_70_15_15(corpora: str, seed: int) -> None:
    """Each corpus and each of its emotions has these fractions; test speakers are in training too."""
    result = assigned(corpora, "random", seed)
    for _, clips in result.groupby("corpus"):
        for _, rows in [("all", clips), *clips.groupby("emotion")]:
            counts = rows.split.value_counts()
            assert counts["test"] == pytest.approx(0.15 * len(rows), abs=1.01)
            assert counts["val"] == pytest.approx(0.15 * len(rows), abs=1.01)
    assert values(result, "speaker", "test") <= values(result, "speaker", "train")


def test_random_split_of_few_clips() -> None:
    """Each emotion has at least one clip in validation and test."""
    clips = table("ravdess").groupby("emotion").head(9).reset_index(drop=True)
    result = split_of(clips, factories.split("random", val=0.04, test=0.05))
    assert (result.groupby(["split", "emotion"]).size().unstack().loc[["val", "test"]] == 1).all(axis=None)


@pytest.mark.parametrize(("corpora", "protocol"), [("ravdess", "random"), *((name, PROTOCOLS[0]) for name in TABLES)])
@pytest.mark.parametrize("augmented", [True, False])
def test_augmented_clips_are_in_training_and_corrupted_clips_in_test(
    corpora: str, protocol: str, augmented: bool
) -> None:
    """All augmented clips of training and corrupted clips of test are kept, with the labels of their original."""
    copies = factories.with_copies(table(corpora), kinds=KINDS)
    clips = splits.assign_splits(copies, split(corpora, protocol), augmentations=None if augmented else ())
    originals = clips[clips.augmentation == ""]
    assert list(originals.clip_id) == list(table(corpora).clip_id)
    expected = {("robustness_noise_10db", "test")} | ({("noise", "train")} if augmented else set())
    altered = clips[clips.augmentation != ""]
    assert set(zip(altered.augmentation, altered.split, strict=True)) == expected
    for kind, subset in expected:
        of_kind = sorted(altered.original_id[altered.augmentation == kind])
        assert of_kind == sorted(originals.clip_id[originals.split == subset])
    for column in ("fold", "split", "emotion", "speaker", "sentence"):
        assert (clips.groupby("original_id")[column].nunique() == 1).all(), column


def test_merged_and_unused_emotions() -> None:
    """A merged emotion has the label of its target, unused ones are excluded, and so are their augmented clips."""
    result = split_of(table("ravdess"), emotions=factories.emotions("neutral", "happy", "sad", calm="neutral"))
    assert result.emotion.value_counts().to_dict() == {"neutral": 96 + 192, "happy": 192, "sad": 192}
    clips = splits.assign_splits(factories.with_copies(table("ravdess")), result)
    assert set(clips.emotion) == {"neutral", "happy", "sad"}
    assert set(clips.emotion[clips.clip_id.str.contains("/03-01-02")]) == {"neutral"}


def calm_of_one_speaker() -> pd.DataFrame:
    clips = table("ravdess")
    return clips[(clips.emotion != "calm") | (clips.speaker == "ravdess-05")]


def one_clip_of_calm() -> pd.DataFrame:
    clips = table("ravdess")
    return clips[(clips.emotion != "calm") | (clips.clip_id == clips[clips.emotion == "calm"].clip_id.iloc[0])]


def one_clip_per_speaker() -> pd.DataFrame:
    return table("demo").drop_duplicates("speaker").assign(emotion=[*EMOTIONS, *EMOTIONS[:4]])


@pytest.mark.parametrize(
    ("clips", "options", "message"),
    [
        (lambda: factories.ravdess(actors=[7]), {}, "two speakers, ravdess has 1;.*protocol: random"),
        (lambda: factories.tess(n_words=1), {}, "tess leaves one speaker and one sentence"),
        (calm_of_one_speaker, {}, r"fold 1 has no clip of calm \(protocol: speaker_independent"),
        (one_clip_of_calm, {"settings": factories.split("random")}, "ravdess has too few clips of some emotion"),
        (one_clip_per_speaker, {}, "fold 1"),
        (factories.ravdess, {"emotions": ONE_CLASS}, r"emotions\.use leaves clips of \['neutral'\].*surprised"),
    ],
)
def test_impossible_split_is_an_error(clips: Any, options: dict[str, Any], message: str) -> None:
    """The error names what is missing, and how to fix it."""
    with pytest.raises(UserError, match=message):
        split_of(clips(), **options)


@pytest.mark.parametrize(
    ("clips", "settings", "expected"),
    [
        (lambda: factories.ravdess(actors=[7]), {}, ["split.protocol: random"]),
        (lambda: factories.tess(n_words=1), {}, []),
        (lambda: table("ravdess"), {"folds": 30}, ["split.folds: 24", "split.protocol: random"]),
        (
            lambda: factories.ravdess(actors=[1, 2]),
            {"protocol": "random", "folds": 20},
            ["split.folds: 8", "split.protocol: speaker_independent with split.folds: 2"],
        ),
        (lambda: table("ravdess"), {"protocol": "cross_corpus"}, ["split.protocol: speaker_independent"]),
        (calm_of_one_speaker, {}, ["split.protocol: random", "emotions.merge: {calm: neutral}", "emotions.use: ["]),
        (one_clip_of_calm, {"protocol": "random"}, ["emotions.merge: {calm: neutral}", "emotions.use: ["]),
    ],
)
def test_advice_after_an_impossible_split_works(clips: Any, settings: dict[str, Any], expected: list[str]) -> None:
    """The error suggests the smallest changes; with each of them alone, the same clips can be split."""
    values = factories.split("speaker_independent").model_dump() | settings
    with pytest.raises(UserError) as error:
        split_of(clips(), Split.model_validate(values))
    suggested = [text for text in str(error.value).partition("works: ")[2].split(", or ") if text]
    assert len(suggested) == len(expected)
    for text, start in zip(suggested, expected, strict=True):
        assert text.startswith(start)
        changed: dict[str, dict[str, Any]] = {"split": values, "emotions": factories.emotions().model_dump()}
        for section, key, value in re.findall(r"(split|emotions)\.(\w+): (\w+|{.*?}|\[.*?\])", text):
            changed[section] = changed[section] | {key: yaml.safe_load(value)}
        emotions = Emotions.model_validate(changed["emotions"])
        split_of(clips(), Split.model_validate(changed["split"]), emotions=emotions)


def test_a_corpus_of_several_is_checked_alone() -> None:
    """What depends on the other corpora, such as their emotions, is no error; too few speakers are one."""
    one_emotion, one_speaker = table("tess").query("emotion == 'sad'"), table("tess").query("speaker == 'tess-OAF'")
    for settings in (BY_SPEAKER, factories.split("speaker_independent", folds=9), factories.split("cross_corpus")):
        splits.check_corpus(one_emotion, settings, emotions=factories.emotions(), seed=1)
    splits.check_corpus(one_speaker, BY_SPEAKER, emotions=factories.emotions("calm", extra=["bored"]), seed=1)
    with pytest.raises(UserError, match=r"two speakers, tess has 1;.*split.protocol: random"):
        splits.check_corpus(one_speaker, BY_SPEAKER, emotions=factories.emotions(), seed=1)


def training(corpora: str) -> pd.DataFrame:
    clips = splits.assign_splits(factories.with_copies(table(corpora)), split(corpora))
    return clips[clips.split == "train"]


@pytest.mark.parametrize(
    ("corpora", "protocol", "group"),
    [
        ("ravdess", "speaker_independent", "speaker"),
        ("tess", "speaker_independent", "sentence"),  # one speaker is left
        ("ravdess+tess", "speaker_independent", "speaker"),
        ("ravdess", "cross_corpus", "speaker"),
        ("ravdess", "text_independent", "sentence"),
        ("ravdess", "random", "original_id"),
    ],
)
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_grid_search_folds_are_grouped(corpora: str, protocol: Any, group: str, folds: int) -> None:
    """Each clip is tested in one fold; its group and original are not in training, but its class is."""
    clips = training(corpora)
    result = splits.grouped_cv(clips, folds=folds, seed=1, protocol=protocol)
    assert len(result) == min(folds, clips[group].nunique())
    assert sorted(np.concatenate([test for _, test in result])) == list(range(len(clips)))
    for train, test in result:
        assert sorted([*train, *test]) == list(range(len(clips)))
        for column in (group, "original_id"):
            assert not set(clips[column].iloc[train]) & set(clips[column].iloc[test])
        assert set(clips.emotion.iloc[test]) <= set(clips.emotion.iloc[train])
        assert protocol != "random" or set(clips.speaker.iloc[test]) <= set(clips.speaker.iloc[train])


def test_grid_search_folds_depend_on_the_seed() -> None:
    """The same seed gives the same folds."""
    clips = training("ravdess")
    first, same, other = (splits.grouped_cv(clips, folds=3, seed=seed)[0][1].tolist() for seed in (1, 1, 2))
    assert first == same != other


def test_grid_search_folds_of_few_groups_or_clips() -> None:
    """There are no more folds than speakers; an emotion may have fewer clips than there are folds."""
    assert len(splits.grouped_cv(factories.ravdess(actors=[1, 2, 3]), folds=5, seed=1)) == 3
    few = splits.grouped_cv(one_clip_per_speaker(), folds=3, seed=1)
    assert sorted(np.concatenate([test for _, test in few])) == list(range(12))


@pytest.mark.parametrize("speaker", ["ravdess-01", "ravdess-"])
def test_grid_search_without_groups_keeps_augmented_clips_together(speaker: str) -> None:
    """If there is one speaker, or speakers are unknown, and one sentence, folds are grouped by original clip."""
    clips = factories.with_copies(factories.ravdess(actors=[1, 2]).assign(speaker=speaker, sentence="01"))
    for train, test in splits.grouped_cv(clips, folds=3, seed=1):
        assert not set(clips.original_id.iloc[train]) & set(clips.original_id.iloc[test])
        assert set(clips.emotion.iloc[test]) == set(clips.emotion)


def test_splits_of_real_corpora_have_no_warnings() -> None:
    """Warnings of scikit-learn about strata would be in the log of each run; nor has one with rare emotions any."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rare = calm_of_one_speaker().groupby(["speaker", "emotion"]).head(1)
        assert splits.grouped_cv(rare, folds=5, seed=5)
        split_of(rare, factories.split("speaker_independent", folds=5), emotions=factories.emotions("happy", "sad"))
        with pytest.raises(UserError):
            split_of(rare, factories.split("speaker_independent", folds=5))
        for corpora in TABLES:
            split_of(table(corpora), seed=5)
            splits.grouped_cv(training(corpora), folds=3, seed=5)
    assert [str(w.message) for w in caught if re.search("n_splits|populated", str(w.message))] == []
