"""Nobody is tested on what training heard: the invariants of a split, over tables of the corpora's shape."""

import re
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

from ser.dataset import splits
from ser.labels import EMOTIONS
from ser.params import Split
from ser.utils.errors import UserError
from tests.helpers import factories

TABLES = {
    "ravdess": factories.ravdess,
    "tess": factories.tess,
    "ravdess+tess": lambda: factories.joined(factories.ravdess(), factories.tess()),
    "demo": factories.demo,
}
SEEDS = (1, 2, 3)
CASES = [
    (corpora, protocol, seed) for corpora in TABLES for protocol in ("speaker_independent", "random") for seed in SEEDS
]


@cache
def table(corpora: str) -> pd.DataFrame:
    return TABLES[corpora]()


def split_of(clips: pd.DataFrame, settings: Split, *, seed: int = 1) -> pd.DataFrame:
    return splits.split_clips(clips, settings, emotions=factories.emotions(), seed=seed)


@cache
def split(corpora: str, protocol: str, seed: int = 1) -> pd.DataFrame:
    return split_of(table(corpora), factories.split(protocol), seed=seed)


def parted(corpora: str, protocol: str, seed: int = 1) -> pd.DataFrame:
    """Original clips with their split."""
    return splits.assign_splits(table(corpora), split(corpora, protocol, seed))


def values(clips: pd.DataFrame, column: str, *subsets: str) -> set[str]:
    return set(clips[clips.split.isin(subsets)][column])


# Any split ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("corpora", "protocol", "seed"), CASES)
def test_every_clip_is_in_one_split(corpora: str, protocol: str, seed: int) -> None:
    """The split lists each original clip of the run once, sorted, with its own emotion, in a split that exists."""
    made = split(corpora, protocol, seed)
    assert tuple(made.columns) == splits.COLUMNS
    expected = table(corpora)[["clip_id", "emotion"]].sort_values("clip_id", ignore_index=True)
    pd.testing.assert_frame_equal(made[["clip_id", "emotion"]], expected)
    assert set(made.split) == {"train", "val", "test"}
    assert set(made.fold) == {1}


@pytest.mark.parametrize(("corpora", "protocol", "seed"), CASES)
def test_every_part_has_every_class(corpora: str, protocol: str, seed: int) -> None:
    """No emotion is learned without being tested, or tested without having been learned."""
    for subset, clips in split(corpora, protocol, seed).groupby("split"):
        assert set(clips.emotion) == set(table(corpora).emotion), subset


@pytest.mark.parametrize(("corpora", "protocol"), [(corpora, way) for corpora, way, seed in CASES if seed == 1])
def test_a_split_depends_on_the_seed_alone(corpora: str, protocol: str) -> None:
    """The same seed gives the same split, whatever the order of the rows; another seed gives another."""
    shuffled = table(corpora).sample(frac=1, random_state=3)
    again = split_of(shuffled, factories.split(protocol), seed=1)
    pd.testing.assert_frame_equal(again, split(corpora, protocol, 1))
    drawn = {tuple(split(corpora, protocol, seed).split) for seed in SEEDS}
    assert len(drawn) > 1


@pytest.mark.parametrize("protocol", ["speaker_independent", "random"])
def test_a_corpus_is_split_alike_in_any_company(protocol: str) -> None:
    """RAVDESS has the same test clips alone and beside TESS, so that their results can be compared."""
    together = split("ravdess+tess", protocol)
    for corpus in ("ravdess", "tess"):
        own = together[together.clip_id.str.startswith(corpus)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, split(corpus, protocol))


@pytest.mark.parametrize("protocol", ["speaker_independent", "random"])
def test_copies_are_not_listed(protocol: str) -> None:
    """A table with copies gives the split of its originals: copies neither count nor choose."""
    copied = factories.with_copies(table("ravdess"))
    pd.testing.assert_frame_equal(split_of(copied, factories.split(protocol)), split("ravdess", protocol))


# Held out by speaker --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corpora", TABLES)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_tested_speaker_is_in_training(corpora: str, seed: int) -> None:
    """No voice in test is heard in training or in validation, where epochs and grids are chosen."""
    clips = parted(corpora, "speaker_independent", seed)
    assert not values(clips, "speaker", "test") & values(clips, "speaker", "train", "val")


@pytest.mark.parametrize("corpora", TABLES)
@pytest.mark.parametrize("seed", SEEDS)
def test_validation_is_apart_from_training(corpora: str, seed: int) -> None:
    """No voice in validation is heard in training; of two speakers one is tested, and then no sentence is."""
    for corpus, clips in parted(corpora, "speaker_independent", seed).groupby("corpus"):
        column = "sentence" if corpus == "tess" else "speaker"
        assert not values(clips, column, "val") & values(clips, column, "train")


@pytest.mark.parametrize("seed", range(8))
def test_ravdess_is_tested_on_both_sexes_alike(seed: int) -> None:
    """Of the four actors each in test and validation, two are women and two are men."""
    clips = splits.assign_splits(
        table("ravdess"), split_of(table("ravdess"), factories.split("speaker_independent"), seed=seed)
    )
    for subset in ("test", "val"):
        speakers = clips[clips.split == subset].drop_duplicates("speaker")
        assert speakers.sex.value_counts().to_dict() == {"f": 2, "m": 2}


def test_every_speaker_is_tested_with_some_seed() -> None:
    """The choice of speakers is a draw, which leaves nobody out for ever."""
    seen = set()
    for seed in range(40):
        made = split_of(table("demo"), factories.split("speaker_independent"), seed=seed)
        seen |= set(made[made.split == "test"].clip_id.str.slice(5, 7))
    assert len(seen) == 12


@pytest.mark.parametrize(
    ("corpora", "n_speakers"),
    [("ravdess", {"test": 4, "val": 4, "train": 16}), ("demo", {"test": 2, "val": 2, "train": 8})],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_shares_of_speakers(corpora: str, n_speakers: dict[str, int], seed: int) -> None:
    """15 % of the speakers are tested and 15 % validated on, as nearly as whole speakers allow."""
    clips = parted(corpora, "speaker_independent", seed)
    assert clips.groupby("split").speaker.nunique().to_dict() == n_speakers


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_of_two_speakers(seed: int) -> None:
    """Of TESS one speaker is tested, and 15 % of the other's words are validated on."""
    clips = parted("tess", "speaker_independent", seed)
    assert clips[clips.split == "test"].speaker.nunique() == 1
    assert len(values(clips, "sentence", "val")) / 200 == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize(("test", "val"), [(0.1, 0.1), (0.2, 0.1), (0.25, 0.25), (0.34, 0.33), (0.4, 0.2), (0.6, 0.2)])
def test_other_shares_of_speakers(test: float, val: float) -> None:
    """Of 24 actors as many are held out as asked for, give or take one."""
    made = splits.assign_splits(
        table("ravdess"), split_of(table("ravdess"), factories.split("speaker_independent", test=test, val=val))
    )
    n_speakers = made.groupby("split").speaker.nunique()
    assert n_speakers["test"] == pytest.approx(24 * test, abs=1)
    assert n_speakers["val"] == pytest.approx(24 * val, abs=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_who_wants_one_speaker_gets_one(seed: int) -> None:
    """A share of 24 actors that comes to one of them or less holds out one, not now and then two."""
    settings = factories.split("speaker_independent", test=0.2, val=0.04)
    made = splits.assign_splits(table("ravdess"), split_of(table("ravdess"), settings, seed=seed))
    assert len(values(made, "speaker", "val")) == 1


def test_three_speakers_have_a_part_each() -> None:
    """The smallest corpus with validation on a voice of its own."""
    clips = factories.ravdess(actors=[1, 2, 3])
    made = splits.assign_splits(clips, split_of(clips, factories.split("speaker_independent")))
    assert made.groupby("split").speaker.nunique().to_dict() == {"test": 1, "train": 1, "val": 1}


# Held out by clip -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corpora", TABLES)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_clips_are_shared_out_70_15_15(corpora: str, seed: int) -> None:
    """Of each corpus and of each of its emotions 15 % are tested and 15 % validated on, give or take a clip."""
    for _, clips in parted(corpora, "random", seed).groupby("corpus"):
        for _, rows in [("all", clips), *clips.groupby("emotion")]:
            counts = rows.split.value_counts()
            assert counts["test"] == pytest.approx(0.15 * len(rows), abs=1.01)
            assert counts["val"] == pytest.approx(0.15 * len(rows), abs=1.01)


def test_random_clips_share_their_speakers() -> None:
    """In the protocol that the reports call optimistic, every tested voice is in training."""
    clips = parted("ravdess", "random")
    assert values(clips, "speaker", "test") <= values(clips, "speaker", "train")


# Copies ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corpora", "protocol"),
    [("ravdess", "speaker_independent"), ("tess", "speaker_independent"), ("ravdess", "random")],
)
def test_copies_are_in_training_only(corpora: str, protocol: str) -> None:
    """No copy of a validation or test clip exists, and every training clip has its copies beside it."""
    clips = splits.assign_splits(factories.with_copies(table(corpora)), split(corpora, protocol))
    copies = clips[clips.augmentation != ""]
    assert set(copies.split) == {"train"}
    assert not set(copies.original_id) & set(clips[clips.split != "train"].original_id)
    training = clips[(clips.split == "train") & (clips.augmentation == "")]
    assert copies.original_id.value_counts().to_dict() == dict.fromkeys(training.clip_id, 2)


KINDS = ("noise", "robustness_noise_10db")


@pytest.mark.parametrize("augmented", [True, False])
def test_each_kind_of_copy_is_where_it_belongs(augmented: bool) -> None:
    """Copies for testing are in testing and copies to learn from in training, each complete, and neither elsewhere."""
    copies = factories.with_copies(table("demo"), kinds=KINDS)
    clips = splits.assign_splits(copies, split("demo", "speaker_independent"), augmented=augmented)
    own = clips[clips.augmentation == ""]
    expected = {("robustness_noise_10db", "test")} | ({("noise", "train")} if augmented else set())
    found = clips[clips.augmentation != ""]
    assert set(zip(found.augmentation, found.split, strict=True)) == expected
    for kind, subset in expected:
        assert set(found.original_id[found.augmentation == kind]) == set(own.clip_id[own.split == subset])


def test_copies_take_part_and_class_from_their_source() -> None:
    """Copies carry the fold, split, class and speaker of the clip they were made from."""
    clips = splits.assign_splits(
        factories.with_copies(table("demo"), kinds=KINDS), split("demo", "speaker_independent")
    )
    assert len(clips) > 288
    for column in ("fold", "split", "emotion", "speaker", "sentence"):
        assert (clips.groupby("original_id")[column].nunique() == 1).all(), column


def test_no_copies_at_all() -> None:
    """Without copies asked for, the originals alone are left, sorted as tables are."""
    clips = splits.assign_splits(
        factories.with_copies(table("demo")), split("demo", "speaker_independent"), augmented=False
    )
    assert list(clips.clip_id) == list(table("demo").clip_id)


# Classes --------------------------------------------------------------------------------------------------------------


def test_a_merged_emotion_is_its_target() -> None:
    """With calm counted as neutral there is no calm, and as many neutral clips as of both."""
    merged = factories.emotions(calm="neutral")
    made = splits.split_clips(table("ravdess"), factories.split("speaker_independent"), emotions=merged, seed=1)
    assert made.emotion.value_counts()["neutral"] == 96 + 192
    assert set(made.emotion) == set(EMOTIONS) - {"calm"}
    assert len(made) == 1440


def test_merged_classes_reach_the_copies() -> None:
    """A copy of a calm clip is neutral too, where calm is counted as neutral."""
    merged = factories.emotions("neutral", "sad", calm="neutral")
    made = splits.split_clips(table("demo"), factories.split("speaker_independent"), emotions=merged, seed=1)
    clips = splits.assign_splits(factories.with_copies(table("demo")), made)
    calm = clips[clips.clip_id.str.contains("_calm_")]
    assert len(calm) > 36  # 12 speakers, 3 sentences, and copies
    assert set(calm.emotion) == {"neutral"}


def test_emotions_that_are_not_used_are_left_out() -> None:
    """A run of four emotions has the clips of these four, copies included."""
    chosen = ("neutral", "happy", "sad", "angry")
    made = splits.split_clips(
        table("demo"), factories.split("speaker_independent"), emotions=factories.emotions(*chosen), seed=1
    )
    assert set(made.emotion) == set(chosen)
    assert len(made) == 4 * 12 * 3
    assert set(splits.assign_splits(factories.with_copies(table("demo")), made).emotion) == set(chosen)


def test_one_class_is_no_task() -> None:
    """Where merging or choosing leaves one class, the error says which, and what the corpora have."""
    merged = factories.emotions("neutral", "calm", calm="neutral")
    with pytest.raises(
        UserError, match=r"emotions\.use leaves clips of \['neutral'\]; at least two classes.*surprised"
    ):
        splits.split_clips(table("ravdess"), factories.split("speaker_independent"), emotions=merged, seed=1)


# What cannot be split -------------------------------------------------------------------------------------------------


def test_one_speaker_cannot_be_held_out() -> None:
    """The error names the corpus and the protocol that would work."""
    with pytest.raises(UserError, match=r"at least two speakers, ravdess has 1; set protocol: random"):
        split_of(factories.ravdess(actors=[7]), factories.split("speaker_independent"))


def test_two_speakers_with_one_text() -> None:
    """With one voice left and one sentence there is nothing to validate on that training has not heard."""
    with pytest.raises(UserError, match=r"tess leaves one speaker and one sentence.*set protocol: random"):
        split_of(factories.tess(n_words=1), factories.split("speaker_independent"))


@pytest.mark.parametrize("emotion", ["disgust", "calm"])
def test_a_part_without_a_class_is_named(emotion: str) -> None:
    """Where but one speaker expresses an emotion, it is missing from two splits, and the error says so."""
    clips = table("ravdess")
    clips = clips[(clips.emotion != emotion) | (clips.speaker == "ravdess-05")]
    with pytest.raises(
        UserError, match=rf"the \w+ split of fold 1 has no clip of {emotion} \(protocol: speaker_independent"
    ):
        split_of(clips, factories.split("speaker_independent"))


def test_too_few_clips_for_a_random_split() -> None:
    """A single clip of an emotion cannot be in three splits; the error names the corpus."""
    clips = table("ravdess")
    clips = clips[(clips.emotion != "calm") | (clips.clip_id == clips[clips.emotion == "calm"].clip_id.iloc[0])]
    with pytest.raises(UserError, match="ravdess has too few clips of some emotion"):
        split_of(clips, factories.split("random"))


def test_few_clips_whose_speakers_are_unknown() -> None:
    """A small share is of no more clips than there are emotions then: each validates and is tested."""
    clips = table("ravdess").groupby("emotion").head(9).reset_index(drop=True)
    found = split_of(clips, factories.split("random", val=0.04, test=0.05))
    assert (found.groupby(["split", "emotion"]).size().unstack().loc[["val", "test"]] == 1).all(axis=None)


def test_few_clips_of_many_speakers() -> None:
    """A corpus of one clip a speaker is split by speaker, or refused in a sentence."""
    clips = table("demo").drop_duplicates("speaker").assign(emotion=[*EMOTIONS, *EMOTIONS[:4]])
    with pytest.raises(UserError):
        split_of(clips, factories.split("speaker_independent"))


# Folds of the grid search ---------------------------------------------------------------------------------------------


def training(corpora: str) -> pd.DataFrame:
    clips = splits.assign_splits(factories.with_copies(table(corpora)), split(corpora, "speaker_independent"))
    return clips[clips.split == "train"]


@pytest.mark.parametrize(
    ("corpora", "apart"), [("ravdess", "speaker"), ("tess", "sentence"), ("ravdess+tess", "speaker")]
)
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_inner_folds_are_apart(corpora: str, apart: str, folds: int) -> None:
    """Speakers stand on one side of a fold, or sentences where one speaker is left, and copies with their originals."""
    clips = training(corpora)
    made = splits.grouped_cv(clips, folds=folds, seed=1)
    assert len(made) == folds
    for train, test in made:
        for column in (apart, "original_id"):
            assert not set(clips[column].iloc[train]) & set(clips[column].iloc[test])
        assert set(clips.emotion.iloc[test]) <= set(clips.emotion.iloc[train])


def test_inner_folds_test_every_clip_once() -> None:
    """Positions are those of the training rows alone, each tested in one fold and trained on in the others."""
    clips = training("ravdess")
    made = splits.grouped_cv(clips, folds=3, seed=1)
    assert sorted(np.concatenate([test for _, test in made])) == list(range(len(clips)))
    for train, test in made:
        assert sorted([*train, *test]) == list(range(len(clips)))


def test_inner_folds_follow_the_seed() -> None:
    """The same seed gives the same folds, another gives others."""
    clips = training("ravdess")
    one, same, other = (splits.grouped_cv(clips, folds=3, seed=seed)[0][1].tolist() for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(
    ("protocol", "apart"),
    [("speaker_independent", "speaker"), ("cross_corpus", "speaker"), ("text_independent", "sentence")],
)
def test_inner_folds_hold_out_what_the_test_does(protocol: str, apart: str) -> None:
    """What is unseen in the test is unseen in the grid search; where known voices are tested, they are known there."""
    clips = training("ravdess")
    for train, test in splits.grouped_cv(clips, folds=2, seed=1, protocol=protocol):
        assert not set(clips[apart].iloc[train]) & set(clips[apart].iloc[test])
    for train, test in splits.grouped_cv(clips, folds=2, seed=1, protocol="random"):
        assert not set(clips.original_id.iloc[train]) & set(clips.original_id.iloc[test])
        assert set(clips.speaker.iloc[train]) == set(clips.speaker.iloc[test])


def test_no_more_inner_folds_than_speakers() -> None:
    """Three speakers in training give three folds where five were asked for."""
    clips = factories.ravdess(actors=[1, 2, 3])
    assert len(splits.grouped_cv(clips, folds=5, seed=1)) == 3


def test_inner_folds_of_few_clips() -> None:
    """Where no emotion has a clip for each fold, speakers are still kept apart."""
    clips = table("demo").drop_duplicates("speaker").assign(emotion=[*EMOTIONS, *EMOTIONS[:4]])
    made = splits.grouped_cv(clips, folds=3, seed=1)
    assert sorted(np.concatenate([test for _, test in made])) == list(range(12))


def test_inner_folds_of_one_speaker_and_text() -> None:
    """Where neither speakers nor sentences differ, or speakers are unknown, copies stay with their original."""
    one = factories.ravdess(actors=[1])
    for clips in (one.assign(sentence="01"), factories.ravdess().assign(speaker="ravdess-", sentence="01")):
        clips = factories.with_copies(clips)
        for train, test in splits.grouped_cv(clips, folds=3, seed=1):
            assert not set(clips.original_id.iloc[train]) & set(clips.original_id.iloc[test])
            assert set(clips.emotion.iloc[test]) == set(clips.emotion)


# Unknown speakers -----------------------------------------------------------------------------------------------------


def test_unknown_speakers_are_not_held_out() -> None:
    """A corpus of which nobody knows who speaks is split by clip, another beside it by speaker."""
    clips = table("ravdess+tess")
    clips["speaker"] = clips.speaker.where(clips.corpus == "ravdess", "tess-")
    made = split_of(clips, factories.split("speaker_independent")).merge(clips.drop(columns="emotion"), on="clip_id")
    subsets = made.groupby("speaker").split.agg(set)
    assert subsets["tess-"] == {"train", "val", "test"}
    assert all(len(subset) == 1 for subset in subsets.drop("tess-"))


def test_a_split_warns_of_nothing() -> None:
    """The real corpora are split without complaints from scikit-learn in the log."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for corpora in TABLES:
            split_of(table(corpora), factories.split("speaker_independent"), seed=5)
            splits.grouped_cv(training(corpora), folds=3, seed=5)
    assert [str(w.message) for w in caught if re.search("n_splits|populated", str(w.message))] == []
