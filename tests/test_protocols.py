"""Cross-validation, sentences, corpora and published folds: what is tested is not shared, and each clip is tested."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier

from ser.corpora.base import known_corpora, load_corpus, published_folds
from ser.dataset import splits
from ser.evaluation import metrics
from ser.utils.errors import UserError
from tests.evaluation.test_leakage import features
from tests.helpers import factories

MERGED = factories.emotions(calm="neutral")
"""The classes that RAVDESS, SAVEE, TESS and the demo share."""


@cache
def table(corpora: str) -> pd.DataFrame:
    made = {
        "ravdess": factories.ravdess,
        "tess": lambda: factories.tess(n_words=40),
        "demo": factories.demo,
        "savee": savee,
    }
    return factories.joined(*(made[corpus]() for corpus in corpora.split("+")))


def savee() -> pd.DataFrame:
    """List SAVEE: four men, fifteen sentences an emotion, thirty for neutral."""
    return factories.clips("savee", load_corpus("savee").expected_files())


def split_of(clips: pd.DataFrame, settings: Any, *, seed: int = 1, emotions: Any = MERGED) -> pd.DataFrame:
    published = published_folds(sorted(set(clips.corpus)), settings.fold_table)
    return splits.split_clips(clips, settings, emotions=emotions, seed=seed, published=published)


@dataclass(frozen=True)
class Case:
    """Corpora, a protocol, how many folds come of it, and by what validation is apart from training."""

    corpora: str
    protocol: str
    folds: int
    apart: str
    published: str | None = None

    @cached_property
    def settings(self) -> Any:
        drawn = self.folds if self.published is None else 1
        return factories.split(self.protocol, folds=drawn, published=self.published)

    @property
    def group(self) -> str:
        return {"random": "clip_id", "cross_corpus": "corpus"}.get(self.protocol) or splits.GROUP_COLUMNS[self.protocol]


CASES = [
    Case("ravdess", "speaker_independent", 5, "speaker"),
    Case("demo", "speaker_independent", 12, "speaker"),
    Case("demo", "speaker_independent", 2, "speaker"),
    Case("tess", "speaker_independent", 2, "sentence"),
    Case("ravdess+savee", "speaker_independent", 5, "speaker"),
    Case("ravdess+tess", "speaker_independent", 2, "original_id"),
    Case("tess", "text_independent", 2, "sentence"),
    Case("savee", "text_independent", 3, "sentence"),
    Case("ravdess", "text_independent", 2, "speaker"),  # two sentences: one is left, so unseen speakers validate
    Case("ravdess", "random", 5, "original_id"),
    Case("ravdess+tess", "random", 3, "original_id"),
    Case("ravdess+savee", "cross_corpus", 2, "speaker"),
    Case("ravdess+savee+tess", "cross_corpus", 3, "corpus"),
    Case("demo+ravdess+savee+tess", "cross_corpus", 4, "corpus"),
    Case("ravdess", "speaker_independent", 6, "speaker", "emobox"),
    Case("ravdess", "speaker_independent", 5, "speaker", "luna_jimenez"),
    Case("savee", "speaker_independent", 4, "speaker", "emobox"),
    Case("ravdess+savee", "speaker_independent", 6, "speaker", "emobox"),
    Case("tess", "speaker_independent", 2, "sentence", "swap_speakers"),
]


@cache
def made(case: Case, seed: int = 1) -> pd.DataFrame:
    return split_of(table(case.corpora), case.settings, seed=seed)


@cache
def folds(case: Case, seed: int = 1) -> list[pd.DataFrame]:
    """Original clips with their split, one table a fold."""
    clips = splits.assign_splits(table(case.corpora), made(case, seed))
    return [clips[clips.fold == fold] for fold in range(1, case.folds + 1)]


def values(clips: pd.DataFrame, column: str, *subsets: str) -> set[str]:
    return set(clips[clips.split.isin(subsets)][column])


def in_test(clips: Sequence[pd.DataFrame], column: str) -> list[set[str]]:
    return [values(fold, column, "test") for fold in clips]


# Any protocol ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_every_clip_is_tested_once(case: Case) -> None:
    """Each clip is in every fold, sorted, and in the test of one; each fold has all three splits."""
    split = made(case)
    expected = sorted((clip_id, fold) for clip_id in table(case.corpora).clip_id for fold in range(1, case.folds + 1))
    assert list(zip(split.clip_id, split.fold, strict=True)) == expected
    assert (split[split.split == "test"].clip_id.value_counts() == 1).all()
    assert set(split[split.split == "test"].clip_id) == set(split.clip_id)
    assert all(set(subsets) == set(splits.SPLITS) for _, subsets in split.groupby("fold").split)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_held_out_is_shared(case: Case, seed: int) -> None:
    """In no fold do test and the other splits share a speaker, sentence or corpus; nor do validation and training."""
    for fold in folds(case, seed):
        for corpus, clips in [("all", fold), *fold.groupby("corpus")]:
            if corpus != "all" or case.protocol != "text_independent":  # two corpora may know one sentence by one name
                assert not values(clips, case.group, "test") & values(clips, case.group, "train", "val")
            assert not values(clips, case.apart, "val") & values(clips, case.apart, "train")


@pytest.mark.parametrize("case", CASES)
def test_training_knows_every_class(case: Case) -> None:
    """The models of all folds tell the same classes apart, so that their predictions can be pooled."""
    for fold in folds(case):
        assert values(fold, "emotion", "train") == set(made(case).emotion)


@pytest.mark.parametrize("case", CASES)
def test_a_protocol_depends_on_the_seed_alone(case: Case) -> None:
    """The same seed gives the same folds, whatever the order of the rows; another draws others, of what is drawn."""
    shuffled = table(case.corpora).sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(split_of(shuffled, case.settings), made(case))
    if case.apart != "corpus":
        assert tuple(made(case, 1).split) != tuple(made(case, 2).split)


@pytest.mark.parametrize("case", CASES)
def test_copies_are_in_training_only_in_each_fold(case: Case) -> None:
    """No copy of a clip that a fold validates or tests on is in that fold, and its training has all copies."""
    clips = splits.assign_splits(factories.with_copies(table(case.corpora), kinds=("noise",)), made(case))
    copies = clips[clips.augmentation != ""]
    assert set(copies.split) == {"train"}
    training = clips[(clips.split == "train") & (clips.augmentation == "")]
    assert set(zip(copies.original_id, copies.fold, strict=True)) == set(
        zip(training.clip_id, training.fold, strict=True)
    )


# Drawn folds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_folds_of_speakers_are_alike(seed: int) -> None:
    """Of 24 actors four or five are tested in each of five folds, four or so validate, and both sexes are in each."""
    for fold in folds(CASES[0], seed):
        assert len(values(fold, "speaker", "test")) in (4, 5)
        assert len(values(fold, "speaker", "val")) in (3, 4, 5)
        for subset in ("test", "val"):
            assert values(fold, "sex", subset) == {"f", "m"}


def test_a_corpus_of_few_speakers_is_tested_first() -> None:
    """SAVEE's four men are tested in four of five folds, one each, and all train or validate in the fifth."""
    case = Case("ravdess+savee", "speaker_independent", 5, "speaker")
    counts = [sum(name.startswith("savee") for name in fold) for fold in in_test(folds(case), "speaker")]
    assert counts == [1, 1, 1, 1, 0]
    last = folds(case)[-1]
    assert last[last.corpus == "savee"].split.isin(["train", "val"]).all()


@pytest.mark.parametrize("protocol", ["speaker_independent", "text_independent", "random"])
def test_folds_are_alike_in_any_company(protocol: str) -> None:
    """RAVDESS has the same folds alone and beside SAVEE, so that their results can be compared."""
    settings = factories.split(protocol, folds=2)
    both, alone = (split_of(table(corpora), settings) for corpora in ("ravdess+savee", "ravdess"))
    own = both[both.clip_id.str.startswith("ravdess")].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone)


@pytest.mark.parametrize("folds", [1, 3])
def test_sentences_of_a_share(folds: int) -> None:
    """With one fold 15 % of TESS's words are tested; with any, 15 % validate, whoever says them."""
    clips = splits.assign_splits(
        table("tess"), split_of(table("tess"), factories.split("text_independent", folds=folds))
    )
    for _, fold in clips.groupby("fold"):
        n_texts = fold.groupby("split").sentence.nunique() / 40
        assert n_texts["test"] == pytest.approx(0.15 if folds == 1 else 1 / folds, abs=0.03)
        assert n_texts["val"] == pytest.approx(0.15, abs=0.03)
        assert set(fold.groupby("split").speaker.nunique()) == {2}


def test_random_folds_are_shared_out_evenly() -> None:
    """With five folds of random clips a fifth of each emotion is tested, and 15 % validate."""
    for fold in folds(Case("ravdess", "random", 5, "original_id")):
        shares = fold.groupby("emotion").split.value_counts(normalize=True).unstack()
        assert shares["test"].to_numpy() == pytest.approx(0.2, abs=0.01)
        assert shares["val"].to_numpy() == pytest.approx(0.15, abs=0.01)


def test_folds_of_unknown_speakers_are_random() -> None:
    """A corpus of which nobody knows who speaks has folds of clips, another beside it of speakers."""
    clips = table("ravdess+tess")
    clips = clips.assign(speaker=clips.speaker.where(clips.corpus == "ravdess", "tess-"))
    joined = splits.assign_splits(clips, split_of(clips, factories.split("speaker_independent", folds=3)))
    for _, fold in joined.groupby("fold"):
        subsets = fold.groupby("speaker").split.agg(set)
        assert subsets["tess-"] == {"train", "val", "test"}
        assert all(len(subset) == 1 for subset in subsets.drop("tess-"))


# Whole corpora --------------------------------------------------------------------------------------------------------


def test_corpora_are_tested_by_name() -> None:
    """Each fold tests one corpus, in the order of names, and the smallest other validates, the first of equals."""
    made = folds(Case("demo+ravdess+savee+tess", "cross_corpus", 4, "corpus"))
    assert in_test(made, "corpus") == [{"demo"}, {"ravdess"}, {"savee"}, {"tess"}]
    assert [values(fold, "corpus", "val") for fold in made] == [{"savee"}, {"demo"}, {"demo"}, {"demo"}]


def test_a_corpus_validates_on_a_share_of_the_only_other_one() -> None:
    """Of two corpora 15 % of the other's speakers validate, its sentences where it has one speaker, else its clips."""
    clips = factories.joined(table("ravdess"), table("tess").query("speaker == 'tess-OAF'"))
    made = splits.assign_splits(clips, split_of(clips, factories.split("cross_corpus")))
    val = made[made.split == "val"]
    assert val[val.fold == 2].speaker.nunique() == 4
    assert val[val.fold == 1].sentence.nunique() / 40 == pytest.approx(0.15, abs=0.03)
    unknown = clips.assign(speaker=clips.corpus + "-")
    made = split_of(unknown, factories.split("cross_corpus"))
    assert (made[made.fold == 1].split == "val").sum() == pytest.approx(0.15 * 280, abs=1)


def test_either_number_of_corpora_is_meant() -> None:
    """Whether folds says one or the number of corpora, each corpus is tested once."""
    one, three = (
        split_of(table("ravdess+savee+tess"), factories.split("cross_corpus", folds=folds)) for folds in (1, 3)
    )
    pd.testing.assert_frame_equal(one, three)


# Published folds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in CASES if case.published and "+" not in case.corpora])
def test_published_speakers_are_tested_in_published_folds(case: Case) -> None:
    """Each fold tests the speakers that were published for it, with any seed."""
    published = load_corpus(case.corpora).folds[str(case.published)]
    expected = [{f"{case.corpora}-{who}" for who in speakers} for speakers in published]
    for seed in (1, 2):
        assert in_test(folds(case, seed), "speaker") == expected


def test_corpora_of_different_numbers_of_folds() -> None:
    """SAVEE's four folds stand beside RAVDESS's six: the last two test no one of SAVEE."""
    made = in_test(folds(Case("ravdess+savee", "speaker_independent", 6, "speaker", "emobox")), "speaker")
    assert [sorted(name for name in fold if name.startswith("savee")) for fold in made] == [
        ["savee-JE"],
        ["savee-KL"],
        ["savee-DC"],
        ["savee-JK"],
        [],
        [],
    ]
    assert made[0] == {"savee-JE", "ravdess-01", "ravdess-11", "ravdess-20", "ravdess-21"}


@pytest.mark.parametrize("name", known_corpora())
def test_published_folds_hold_every_speaker_once(name: str) -> None:
    """A table of a corpus's facts is a cross-validation: all of its speakers, each in one fold."""
    corpus = load_corpus(name)
    for folds in corpus.folds.values():
        assert sorted(who for fold in folds for who in fold) == sorted(corpus.speaker_sex)
        assert len(folds) >= 2


@pytest.mark.parametrize("name", [name for name in known_corpora() if "emobox" in load_corpus(name).folds])
def test_emobox_folds_are_those_it_lists(name: str, corpora: Path) -> None:
    """Every file that EmoBox lists is by a speaker of the fold in which EmoBox tests it."""
    listing = corpora / "listings" / f"{name}_emobox_test_folds.csv"
    if not listing.is_file():
        pytest.skip(f"{listing} is not there; set SER_CORPORA to a folder that has it")
    listed = pd.read_csv(listing)
    clips = factories.clips(name, listed.file.str.removesuffix(".wav"))
    expected = dict(zip(clips.clip_id, clips.speaker.map(published_folds([name], "emobox")), strict=True))
    assert dict(zip(name + "/" + listed.file.str.removesuffix(".wav"), listed.test_fold, strict=True)) == expected


def test_no_table_has_no_folds() -> None:
    """Without a table nothing is looked up, of recordings of one's own neither."""
    assert published_folds(["mine", "ravdess"], None) == {}


@pytest.mark.parametrize("names", [["tess"], ["ravdess", "mine"]])
def test_an_unpublished_table_is_refused(names: list[str]) -> None:
    """The error names the corpora that have no such folds, and all folds there are."""
    with pytest.raises(UserError) as error:
        published_folds(names, "emobox")
    assert f"published folds 'emobox' of {names[-1]}; known are ravdess: emobox, luna_jimenez; " in str(error.value)
    assert "savee: emobox; tess: swap_speakers" in str(error.value)


# What cannot be split -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corpora", "settings", "message"),
    [
        (
            "ravdess",
            factories.split("speaker_independent", folds=25),
            "no corpus has more than 24 speakers .* set folds to 24 or less",
        ),
        ("ravdess+savee", factories.split("text_independent", folds=31), "no corpus has more than 30 sentences"),
        (
            "ravdess",
            factories.split("random", folds=200),
            "ravdess has too few clips of some emotion: 192 of .* lower folds",
        ),
        ("ravdess", factories.split("cross_corpus"), "at least two corpora, the run has ravdess alone"),
        ("ravdess+tess", factories.split("cross_corpus", folds=3), "each of the 2 corpora .* set folds to 1 or 2"),
    ],
)
def test_impossible_folds_are_refused(corpora: str, settings: Any, message: str) -> None:
    """More folds than there is to test on, or another number than that of the corpora, is said and what is possible."""
    with pytest.raises(UserError, match=message):
        split_of(table(corpora), settings)


def test_a_class_that_training_lacks_is_named() -> None:
    """Nobody trained on TESS knows calm; the error says what to restrict or merge."""
    with pytest.raises(
        UserError, match=r"the train split of fold 1 has no clip of calm .*emotions\.use.*emotions\.merge"
    ):
        split_of(table("ravdess+tess"), factories.split("cross_corpus"), emotions=factories.emotions())


def test_sentences_must_be_known() -> None:
    """Where a corpus names no sentences, or has one, there is no unseen sentence; the error names it and a way out."""
    clips = table("ravdess+tess")
    without = clips.assign(sentence=clips.sentence.where(clips.corpus == "tess", ""))
    with pytest.raises(
        UserError, match=r"but 1440 clips of ravdess \(of 1440\) have none; .*protocol to speaker_independent or random"
    ):
        split_of(without, factories.split("text_independent"))
    with pytest.raises(UserError, match="at least two sentences, ravdess has 1"):
        split_of(clips.assign(sentence="01"), factories.split("text_independent"))


@pytest.mark.parametrize("folds", [2, 5])
def test_one_speaker_has_no_folds(folds: int) -> None:
    """A corpus of one speaker is refused beside one of many, as it is with one fold."""
    clips = factories.joined(table("ravdess"), table("tess").query("speaker == 'tess-OAF'"))
    with pytest.raises(UserError, match="at least two speakers, tess has 1"):
        split_of(clips, factories.split("speaker_independent", folds=folds))


@pytest.mark.parametrize(
    ("actors", "message"),
    [
        ([1, 4, 10, 3], "fold 3 has no clip for test"),
        ([1, 11], "a fold of emobox tests all present speakers of ravdess"),
    ],
)
def test_a_part_of_a_corpus_lacks_published_folds(actors: list[int], message: str) -> None:
    """Where the recordings of a fold's speakers are missing, or all others, the error asks for the whole corpus."""
    with pytest.raises(UserError, match=message):
        split_of(factories.ravdess(actors=actors), factories.split("speaker_independent", published="emobox"))


def test_a_speaker_without_a_published_fold_is_named() -> None:
    """A table that does not know a speaker cannot say when to test on them."""
    with pytest.raises(UserError, match="emobox has no speakers ravdess-02; set fold_table: null"):
        splits.split_clips(
            factories.ravdess(actors=[1, 2]),
            factories.split("speaker_independent", published="emobox"),
            emotions=MERGED,
            seed=1,
            published={"ravdess-01": 1},
        )


# Cheats ---------------------------------------------------------------------------------------------------------------


def cheat(corpora: str, protocol: str, by: str) -> float:
    """Let the nearest neighbour tell emotions that sound otherwise for each value of `by`, under a protocol: UAR."""
    clips, asked = table(corpora), factories.split(protocol, folds=1 if protocol == "cross_corpus" else 3)
    sounds = features(clips, by, "emotion")
    rows = splits.assign_splits(clips.assign(row=np.arange(len(clips))), split_of(clips, asked))
    answers = []
    for _, fold in rows.groupby("fold"):
        train, test = fold[fold.split != "test"], fold[fold.split == "test"]
        model = KNeighborsClassifier(1).fit(sounds[train.row], train.emotion)
        answers.append(test.assign(predicted=model.predict(sounds[test.row])))
    judged = pd.concat(answers)
    return metrics.uar(judged.emotion, judged.predicted)


@pytest.mark.parametrize(
    ("corpora", "by", "flattering", "honest", "classes"),
    [
        ("ravdess", "speaker", "random", "speaker_independent", 7),
        ("ravdess+savee", "corpus", "speaker_independent", "cross_corpus", 7),
    ],
)
def test_a_cheat_is_exposed(corpora: str, by: str, flattering: str, honest: str, classes: int) -> None:
    """Who knows voices shines on random clips, who knows corpora on unseen speakers of them; on new ones both guess."""
    assert cheat(corpora, flattering, by) > 0.95
    assert cheat(corpora, honest, by) == pytest.approx(1 / classes, abs=0.1)
