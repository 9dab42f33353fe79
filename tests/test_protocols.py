"""Test all evaluation protocols: held-out groups are not in training, and each clip is tested once."""

from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier

from ser.corpora.base import known_corpora, load_corpus, published_folds
from ser.dataset import splits
from ser.download.custom import import_custom_corpus
from ser.evaluation import metrics
from ser.utils.errors import UserError
from ser.utils.files import write_csv
from tests.evaluation.test_leakage import features
from tests.helpers import factories
from tests.helpers.signals import encode, sine

EMOBOX: tuple[str, dict[str, Any]] = ("speaker_independent", {"published": "emobox"})
MERGED = factories.emotions(calm="neutral")
"""Classes of RAVDESS, SAVEE, TESS and the demo corpus."""


@cache
def table(corpora: str) -> pd.DataFrame:
    tables = {
        "ravdess": factories.ravdess,
        "tess": lambda: factories.tess(n_words=40),
        "demo": factories.demo,
        "savee": lambda: factories.clips("savee", load_corpus("savee").expected_files()),
    }
    return factories.joined(*(tables[corpus]() for corpus in corpora.split("+")))


def one_speaker() -> pd.DataFrame:
    return factories.joined(table("ravdess"), table("tess").query("speaker == 'tess-OAF'"))


def split_of(clips: pd.DataFrame, settings: Any, *, seed: int = 1, emotions: Any = MERGED) -> pd.DataFrame:
    published = published_folds(sorted(set(clips.corpus)), settings.fold_table)
    return splits.split_clips(clips, settings, emotions=emotions, seed=seed, published=published)


@dataclass(frozen=True)
class Case:
    """Corpora, protocol, number of folds, and column whose values are not in both validation and training."""

    corpora: str
    protocol: str
    folds: int
    val_group: str
    published: str | None = None

    @cached_property
    def settings(self) -> Any:
        folds = self.folds if self.published is None else 1
        return factories.split(self.protocol, folds=folds, published=self.published)

    @property
    def group(self) -> str:
        return {"random": "clip_id", "cross_corpus": "corpus"}.get(self.protocol) or splits.GROUP_COLUMNS[self.protocol]


CASES = [
    Case("ravdess", "speaker_independent", 5, "speaker"),
    Case("demo", "speaker_independent", 12, "speaker"),
    Case("tess", "speaker_independent", 2, "sentence"),
    Case("ravdess+savee", "speaker_independent", 5, "speaker"),
    Case("ravdess+tess", "speaker_independent", 2, "original_id"),
    Case("tess", "text_independent", 2, "sentence"),
    Case("savee", "text_independent", 3, "sentence"),
    Case("ravdess", "text_independent", 2, "speaker"),  # one of two sentences is left, so speakers are held out
    Case("ravdess", "random", 5, "original_id"),
    Case("ravdess+savee", "cross_corpus", 2, "speaker"),
    Case("demo+ravdess+savee+tess", "cross_corpus", 4, "corpus"),
    Case("ravdess", "speaker_independent", 6, "speaker", "emobox"),
    Case("ravdess", "speaker_independent", 5, "speaker", "luna_jimenez"),
    Case("savee", "speaker_independent", 4, "speaker", "emobox"),
    Case("ravdess+savee", "speaker_independent", 6, "speaker", "emobox"),
    Case("tess", "speaker_independent", 2, "sentence", "swap_speakers"),
]


@cache
def split_table(case: Case, seed: int = 1) -> pd.DataFrame:
    return split_of(table(case.corpora), case.settings, seed=seed)


@cache
def folds(case: Case, seed: int = 1) -> list[pd.DataFrame]:
    """Original clips with their split, one table per fold."""
    clips = splits.assign_splits(table(case.corpora), split_table(case, seed))
    return [clips[clips.fold == fold] for fold in range(1, case.folds + 1)]


def values(clips: pd.DataFrame, column: str, *subsets: str) -> set[str]:
    return set(clips[clips.split.isin(subsets)][column])


@pytest.mark.parametrize("case", CASES)
def test_each_clip_is_tested_once(case: Case) -> None:
    """Each clip is in every fold, each fold has all splits, and all classes are in training."""
    split = split_table(case)
    expected = sorted((clip_id, fold) for clip_id in table(case.corpora).clip_id for fold in range(1, case.folds + 1))
    assert list(zip(split.clip_id, split.fold, strict=True)) == expected
    assert sorted(split[split.split == "test"].clip_id) == sorted(set(split.clip_id))
    for _, fold in split.groupby("fold"):
        assert set(fold.split) == set(splits.SPLITS)
        assert values(fold, "emotion", "train") == set(split.emotion)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_held_out_groups_are_not_in_training(case: Case, seed: int) -> None:
    """Test groups are not in training or validation, and validation groups not in training."""
    for fold in folds(case, seed):
        for corpus, clips in [("all", fold), *fold.groupby("corpus")]:
            if corpus != "all" or case.protocol != "text_independent":  # corpora may have equal names of sentences
                assert not values(clips, case.group, "test") & values(clips, case.group, "train", "val")
            assert not values(clips, case.val_group, "val") & values(clips, case.val_group, "train")


PEOPLE = [
    ["anna", "Anna", " ANNA", "\uff41nna"],
    ["1", "01", "1.0", "\uff11"],
    ["Zoë", "Zoe\u0308", "zoë", "ZOË "],
    ["Anna B", "anna  b", "anna\u00a0B", "Anna-B"],
    ["Bo", "bo", "BO", "b\u200bo"],
]
"""Spellings of each speaker's name."""
SENTENCES = [["It is late", "it is late.", "It  is\u00a0LATE"], ["02", "2", "2.0"], ["a", "A", " a"]]


@pytest.mark.parametrize("protocol", ["speaker_independent", "text_independent"])
@pytest.mark.parametrize("source", ["table", "pattern"])
def test_spellings_of_a_speaker_or_sentence_are_not_split(source: str, protocol: str, tmp_path: Path) -> None:
    """Imported speakers and sentences are each in one split, however the user's labels spell them."""
    pattern = r"(?P<speaker>[^/]+)/(?P<text>[^/]+)/\w+_(?P<emotion>\w+)"
    clips = imported(tmp_path, pattern=pattern if source == "pattern" else "")
    column, n_groups = {"speaker_independent": ("person", 5), "text_independent": ("said", 3)}[protocol]
    assert (clips.speaker.nunique(), clips.sentence.nunique()) == (5, 3)
    settings, emotions = factories.split(protocol, folds=n_groups), factories.emotions("sad", "happy")
    for seed in (1, 2, 3):
        rows = splits.assign_splits(clips, split_of(clips, settings, seed=seed, emotions=emotions))
        for _, fold in rows.groupby("fold"):
            assert not values(fold, column, "test") & values(fold, column, "train", "val")


def imported(root: Path, *, pattern: str) -> pd.DataFrame:
    """Import a recording per spelling and emotion by a table or pattern; the clip table has who said what."""
    rows = [
        (f"{name if pattern else i}/{text if pattern else j}/{person}x{said}_{emotion}.wav", emotion, name, text)
        for person, names in enumerate(PEOPLE)
        for said, texts in enumerate(SENTENCES)
        for i, name in enumerate(names)
        for j, text in enumerate(texts)
        for emotion in ("sad", "happy")
    ]
    for n, (file, *_) in enumerate(rows):
        path = root / "voices" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(sine(100 + n, seconds=0.1)))
    if not pattern:
        columns = ("file", "emotion", "speaker", "text")
        table = [dict(zip(columns, row, strict=True)) for row in rows]
        write_csv(root / "voices" / "labels.csv", table, columns=columns)
    keys = {"folder": "voices", "labels": None, "pattern": pattern or None, "emotions": {}, "language": "en"}
    mine = factories.settings(custom_corpora={"mine": keys}).custom_corpora["mine"]
    recordings, _ = import_custom_corpus(mine, root / "raw", name="mine", root=root)
    clips = pd.DataFrame([asdict(recording) for recording in recordings])
    who = clips.file.str.extract(r"(?P<person>\d)x(?P<said>\d)_")
    ids = "mine/" + clips.file
    return clips.join(who).assign(
        audio_sha256=ids,
        clip_id=ids,
        original_id=ids,
        recording_id=ids,
        corpus="mine",
        augmentation="",
        n_samples=1600,
        sample_rate=16000,
    )


@pytest.mark.parametrize("case", CASES)
def test_folds_depend_only_on_the_seed(case: Case) -> None:
    """The order of the rows does not matter; another seed gives other folds, unless all are given by the corpora."""
    shuffled = table(case.corpora).sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(split_of(shuffled, case.settings), split_table(case))
    if case.val_group != "corpus":
        assert tuple(split_table(case, 1).split) != tuple(split_table(case, 2).split)


@pytest.mark.parametrize("case", CASES)
def test_augmented_clips_are_in_training_only(case: Case) -> None:
    """In each fold, all training clips have their augmented clips, and no other clips have any."""
    clips = splits.assign_splits(factories.with_copies(table(case.corpora), kinds=("noise",)), split_table(case))
    augmented = clips[clips.augmentation != ""]
    assert set(augmented.split) == {"train"}
    training = clips[(clips.split == "train") & (clips.augmentation == "")]
    assert set(zip(augmented.original_id, augmented.fold, strict=True)) == set(
        zip(training.clip_id, training.fold, strict=True)
    )


def test_folds_of_speakers_are_balanced() -> None:
    """Of 24 speakers, four or five are in each test and about four in validation, of both sexes."""
    for fold in [fold for seed in (1, 2, 3) for fold in folds(CASES[0], seed)]:
        assert len(values(fold, "speaker", "test")) in (4, 5)
        assert len(values(fold, "speaker", "val")) in (3, 4, 5)
        for subset in ("test", "val"):
            assert values(fold, "sex", subset) == {"f", "m"}


def test_corpus_with_fewer_speakers_than_folds() -> None:
    """Its speakers are tested in the first folds, and are in training and validation in the others."""
    result = folds(Case("ravdess+savee", "speaker_independent", 5, "speaker"))
    counts = [sum(name.startswith("savee") for name in values(fold, "speaker", "test")) for fold in result]
    assert counts == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("protocol", ["speaker_independent", "text_independent", "random"])
def test_folds_do_not_depend_on_other_corpora(protocol: str) -> None:
    """Results of one and of several corpora can be compared."""
    settings = factories.split(protocol, folds=2)
    both, alone = (split_of(table(corpora), settings) for corpora in ("ravdess+savee", "ravdess"))
    pd.testing.assert_frame_equal(both[both.clip_id.str.startswith("ravdess")].reset_index(drop=True), alone)


@pytest.mark.parametrize("folds", [1, 3])
def test_fractions_of_sentences(folds: int) -> None:
    """With one fold, 15 % of the words are in test; with any number, 15 % are in validation, of all speakers."""
    settings = factories.split("text_independent", folds=folds)
    clips = splits.assign_splits(table("tess"), split_of(table("tess"), settings))
    for _, fold in clips.groupby("fold"):
        fractions = fold.groupby("split").sentence.nunique() / 40
        assert fractions["test"] == pytest.approx(0.15 if folds == 1 else 1 / folds, abs=0.03)
        assert fractions["val"] == pytest.approx(0.15, abs=0.03)
        assert set(fold.groupby("split").speaker.nunique()) == {2}


def test_fractions_of_random_folds() -> None:
    """With five folds, 20 % of each emotion are in test and 15 % in validation."""
    for fold in folds(Case("ravdess", "random", 5, "original_id")):
        fractions = fold.groupby("emotion").split.value_counts(normalize=True).unstack()
        assert fractions["test"].to_numpy() == pytest.approx(0.2, abs=0.01)
        assert fractions["val"].to_numpy() == pytest.approx(0.15, abs=0.01)


def test_folds_of_unknown_speakers_are_random() -> None:
    """Folds of other corpora are by speaker."""
    clips = table("ravdess+tess")
    clips = clips.assign(speaker=clips.speaker.where(clips.corpus == "ravdess", "tess-"))
    joined = splits.assign_splits(clips, split_of(clips, factories.split("speaker_independent", folds=3)))
    for _, fold in joined.groupby("fold"):
        subsets = fold.groupby("speaker").split.agg(set)
        assert subsets["tess-"] == {"train", "val", "test"}
        assert all(len(subset) == 1 for subset in subsets.drop("tess-"))


def test_each_corpus_is_tested_in_alphabetical_order() -> None:
    """The smallest other corpus, or the first of them, is for validation."""
    result = folds(Case("demo+ravdess+savee+tess", "cross_corpus", 4, "corpus"))
    assert [values(fold, "corpus", "test") for fold in result] == [{"demo"}, {"ravdess"}, {"savee"}, {"tess"}]
    assert [values(fold, "corpus", "val") for fold in result] == [{"savee"}, {"demo"}, {"demo"}, {"demo"}]


def test_validation_with_two_corpora() -> None:
    """It has 15 % of the other corpus: of its speakers, of the sentences of one speaker, or of clips."""
    clips, settings = one_speaker(), factories.split("cross_corpus")
    val = splits.assign_splits(clips, split_of(clips, settings)).query("split == 'val'")
    assert val[val.fold == 2].speaker.nunique() == 4
    assert val[val.fold == 1].sentence.nunique() / 40 == pytest.approx(0.15, abs=0.03)
    unknown = clips.assign(speaker=clips.corpus + "-")
    assert len(split_of(unknown, settings).query("fold == 1 and split == 'val'")) == pytest.approx(0.15 * 280, abs=1)


def test_one_fold_and_the_number_of_corpora_are_equivalent() -> None:
    """In both cases, each corpus is tested once."""
    clips = table("ravdess+savee+tess")
    one, three = (split_of(clips, factories.split("cross_corpus", folds=folds)) for folds in (1, 3))
    pd.testing.assert_frame_equal(one, three)


@pytest.mark.parametrize("case", [case for case in CASES if case.published])
def test_published_folds_have_the_published_speakers(case: Case) -> None:
    """The seed does not matter; a corpus with fewer folds is not tested in the last ones."""
    expected: list[set[str]] = [set() for _ in range(case.folds)]
    for corpus in case.corpora.split("+"):
        for fold, codes in zip(expected, load_corpus(corpus).folds[str(case.published)], strict=False):
            fold |= {f"{corpus}-{code}" for code in codes}
    for seed in (1, 2):
        assert [values(fold, "speaker", "test") for fold in folds(case, seed)] == expected


@pytest.mark.parametrize("name", known_corpora())
def test_published_folds_have_each_speaker_once(name: str) -> None:
    """A published table is a cross-validation."""
    corpus = load_corpus(name)
    for folds in corpus.folds.values():
        assert sorted(code for fold in folds for code in fold) == sorted(corpus.speaker_sex)
        assert len(folds) >= 2


@pytest.mark.parametrize("name", [name for name in known_corpora() if "emobox" in load_corpus(name).folds])
def test_emobox_folds_match_its_file_lists(name: str, corpora: Path) -> None:
    """Each file is in the fold of its speaker."""
    listing = corpora / "listings" / f"{name}_emobox_test_folds.csv"
    if not listing.is_file():
        pytest.skip(f"{listing} not found; set SER_CORPORA to a folder that has it")
    listed = pd.read_csv(listing)
    names = listed.file.str.removesuffix(".wav")
    clips = factories.clips(name, names)
    expected = dict(zip(clips.clip_id, clips.speaker.map(published_folds([name], "emobox")), strict=True))
    assert dict(zip(name + "/" + names, listed.test_fold, strict=True)) == expected


def test_unknown_fold_table_is_an_error() -> None:
    """The error names the corpora without such folds, and all published folds."""
    assert published_folds(["ravdess", "mine"], None) == {}
    with pytest.raises(UserError, match=r"'emobox' of mine;.*ravdess: emobox, luna_jimenez;.*savee: emobox"):
        published_folds(["ravdess", "mine"], "emobox")


def without_sentences() -> pd.DataFrame:
    clips = table("ravdess+tess")
    return clips.assign(sentence=clips.sentence.where(clips.corpus == "tess", ""))


@pytest.mark.parametrize(
    ("clips", "protocol", "options", "message"),
    [
        ("ravdess", "speaker_independent", {"folds": 25}, "no corpus has more than 24 speakers.*split.folds: 24"),
        ("ravdess+savee", "text_independent", {"folds": 31}, "no corpus has more than 30 sentences"),
        ("ravdess", "random", {"folds": 200}, "ravdess has too few clips of some emotion: 192 of .*split.folds: 192"),
        ("ravdess", "cross_corpus", {}, "at least two corpora, the run has only ravdess"),
        ("ravdess+tess", "cross_corpus", {"folds": 3}, "each of the 2 corpora .* set folds to 1 or 2"),
        (without_sentences, "text_independent", {}, r"1440 clips of ravdess \(of 1440\) have none"),
        (lambda: table("ravdess").assign(sentence="01"), "text_independent", {}, "two sentences, ravdess has 1"),
        (one_speaker, "speaker_independent", {"folds": 5}, "at least two speakers, tess has 1"),
        (lambda: factories.ravdess(actors=[1, 4, 10, 3]), *EMOBOX, "test split of fold 3 has no clip.*fold_table"),
        (lambda: factories.ravdess(actors=[1, 11]), *EMOBOX, "a fold of emobox tests all present speakers of ravdess"),
    ],
)
def test_impossible_folds_are_an_error(clips: Any, protocol: str, options: dict[str, Any], message: str) -> None:
    """The error names what is missing, and how to fix it."""
    with pytest.raises(UserError, match=message):
        split_of(table(clips) if isinstance(clips, str) else clips(), factories.split(protocol, **options))


def test_class_without_training_clips_is_an_error() -> None:
    """TESS has no calm clips; the error suggests other settings of emotions."""
    with pytest.raises(UserError, match=r"fold 1 has no clip of calm .*emotions\.use.*emotions\.merge"):
        split_of(table("ravdess+tess"), factories.split("cross_corpus"), emotions=factories.emotions())


def test_speaker_without_a_published_fold_is_an_error() -> None:
    """The error names the speaker."""
    clips, settings = factories.ravdess(actors=[1, 2]), factories.split("speaker_independent", published="emobox")
    with pytest.raises(UserError, match=r"emobox has no speakers ravdess-02.*split.fold_table: null"):
        splits.split_clips(clips, settings, emotions=MERGED, seed=1, published={"ravdess-01": 1})


def leaky_uar(corpora: str, protocol: str, by: str) -> float:
    """Evaluate a nearest-neighbor classifier on features by which emotions differ only within each value of `by`."""
    clips, settings = table(corpora), factories.split(protocol, folds=1 if protocol == "cross_corpus" else 3)
    matrix = features(clips, by, "emotion")
    rows = splits.assign_splits(clips.assign(row=np.arange(len(clips))), split_of(clips, settings))
    predictions = []
    for _, fold in rows.groupby("fold"):
        train, test = fold[fold.split != "test"], fold[fold.split == "test"]
        model = KNeighborsClassifier(1).fit(matrix[train.row], train.emotion)
        predictions.append(test.assign(predicted=model.predict(matrix[test.row])))
    result = pd.concat(predictions)
    return metrics.uar(result.emotion, result.predicted)


@pytest.mark.parametrize(
    ("corpora", "by", "optimistic", "independent"),
    [
        ("ravdess", "speaker", "random", "speaker_independent"),
        ("ravdess+savee", "corpus", "speaker_independent", "cross_corpus"),
    ],
)
def test_speaker_and_corpus_shortcuts_are_exposed(corpora: str, by: str, optimistic: str, independent: str) -> None:
    """A shortcut gives high scores if test speakers or corpora are in training, and chance level otherwise."""
    assert leaky_uar(corpora, optimistic, by) > 0.95
    assert leaky_uar(corpora, independent, by) == pytest.approx(1 / 7, abs=0.1)
