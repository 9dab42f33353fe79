"""Probes find leaks and shortcuts that were put into the data, and none where there is none."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import leakage
from ser.labels import EMOTIONS
from tests.helpers import factories

RAVDESS = factories.ravdess(actors=range(1, 7))
TESS = factories.tess(n_words=12)
DEMO = factories.demo()
SAME = ["clips", "speakers"]


def codes(table: pd.DataFrame, *columns: str, sd: float = 0.1, seed: int = 0) -> Any:
    """Make six features that depend on nothing but the values of some columns, and a little noise: (clips, 6)."""
    rng = np.random.default_rng(seed)
    kinds = table.groupby(list(columns)).ngroup().to_numpy()
    found = rng.normal(size=(kinds.max() + 1, 6))[kinds] + sd * rng.normal(size=(len(table), 6))
    return found.astype(np.float32)


def measured(table: pd.DataFrame, vectors: Any, *, seed: int = 1, **emotions: Any) -> pd.DataFrame:
    settings = emotions.get("emotions", factories.emotions())
    return leakage.run_leakage_checks(table, vectors, emotions=settings, n_estimators=20, seed=seed)


def pooled(found: pd.DataFrame) -> dict[str, float]:
    return dict(found[found.corpus == ""].set_index("probe").uar)


# Leaks ----------------------------------------------------------------------------------------------------------------


def test_what_voices_give_away() -> None:
    """Where each voice has its own way with each emotion, random clips are easy and unseen speakers impossible."""
    found = pooled(measured(RAVDESS, codes(RAVDESS, "speaker", "emotion")))
    assert found["leak_clip"] > 0.95
    assert found["leak_speaker"] == pytest.approx(1 / len(EMOTIONS), abs=0.1)


def test_what_all_voices_share() -> None:
    """Where emotions sound the same in all voices, unseen speakers are as easy as random clips."""
    assert min(pooled(measured(RAVDESS, codes(RAVDESS, "emotion"))).values()) > 0.98


def test_copies_of_held_out_clips_leak() -> None:
    """Where a clip resembles nothing but its copies, these alone give it away, and copies of others do not."""
    table = factories.with_copies(RAVDESS)
    found = pooled(measured(table, codes(table, "original_id", sd=0.01)))
    assert found["leak_augmented_before_split"] > 0.9
    for honest in ("leak_clip", "leak_speaker", "leak_augmented_after_split"):
        assert found[honest] == pytest.approx(1 / len(EMOTIONS), abs=0.08)


def test_merged_emotions_are_one_class() -> None:
    """The probe's classes are those of the run."""
    merged = factories.emotions("neutral", "happy", calm="neutral")
    found = measured(RAVDESS, codes(RAVDESS, "emotion"), emotions=merged)
    assert set(found.classes) == {2}
    assert set(found.clips) == {RAVDESS.emotion.isin(["neutral", "happy", "calm"]).sum()}


# Shortcuts ------------------------------------------------------------------------------------------------------------


def test_corpora_are_told_apart_by_an_offset() -> None:
    """What all clips of a corpus have in common is found in unseen speakers, and no more than chance in its absence."""
    table = factories.joined(RAVDESS, DEMO)
    apart, alike = (pooled(measured(table, codes(table, *columns))) for columns in (["corpus"], ["emotion"]))
    for probe in ("shortcut_corpus", "shortcut_corpus_shared_emotions"):
        assert apart[probe] > 0.98
        assert alike[probe] == pytest.approx(0.5, abs=0.1)


def test_emotions_do_not_pass_for_corpora() -> None:
    """Corpora that sound alike, but with other emotions or other shares of them, are not told apart by sharing some."""
    ravdess = RAVDESS[RAVDESS.emotion.isin(["neutral", "happy", "sad"])]
    demo = DEMO[DEMO.emotion.isin(["happy", "sad", "angry"])]
    table = factories.joined(ravdess, demo[(demo.emotion != "sad") | demo.sentence.isin(["back", "kids"])])
    found = pooled(measured(table, codes(table, "emotion")))
    assert found["shortcut_corpus"] > 0.65
    assert found["shortcut_corpus_shared_emotions"] == pytest.approx(0.5, abs=0.12)


# Rows -----------------------------------------------------------------------------------------------------------------


def test_one_corpus_has_no_shortcut() -> None:
    """One corpus without copies has a row for random clips and one for unseen speakers, and none of its own."""
    found = measured(RAVDESS, codes(RAVDESS, "emotion"))
    assert found[["probe", "corpus"]].to_numpy().tolist() == [["leak_clip", ""], ["leak_speaker", ""]]
    assert found[[*SAME, "classes"]].to_numpy().tolist() == [[360, 6, 8]] * 2


def test_each_corpus_is_judged_in_the_pooled_answers() -> None:
    """With two corpora each probe has three rows, whose clips add up, also where one has but two speakers."""
    table = factories.with_copies(factories.joined(RAVDESS, TESS))
    found = measured(table, codes(table, "corpus", "emotion"))
    assert found.probe.nunique() == 6
    for _, rows in found.groupby("probe"):
        assert list(rows.corpus) == ["", "ravdess", "tess"]
        assert (rows[SAME].iloc[0] == rows[SAME].iloc[1:].sum()).all()
        assert rows.uar.min() > 0.98
    told = found[found.probe.str.startswith("leak")].groupby("corpus").classes.agg(set)
    assert dict(told) == {"": {8}, "ravdess": {8}, "tess": {7}}
    assert set(found.classes[found.probe.str.startswith("shortcut")]) == {2}


def test_unknown_speakers_are_left_out_by_name() -> None:
    """Random clips and unseen speakers are compared on the same clips, and the notes say which corpus is missing."""
    table = factories.joined(RAVDESS, TESS.assign(speaker="tess-"))
    found = measured(table, codes(table, "emotion"))
    assert list(found.probe) == ["leak_clip", "leak_speaker"]
    assert set(found.clips) == {len(RAVDESS)}
    assert found.note.str.endswith("left out, as nobody knows who speaks: tess").all()


@pytest.mark.parametrize("speakers", [{"OAF": "", "YAF": ""}, {"YAF": "OAF"}])
def test_without_two_speakers_there_is_nothing_to_compare(speakers: dict[str, str]) -> None:
    """Where nobody knows who speaks, or one does, random clips alone are judged."""
    table = TESS.assign(speaker=TESS.speaker.replace({f"tess-{a}": f"tess-{b}" for a, b in speakers.items()}))
    assert list(measured(table, codes(table, "emotion")).probe) == ["leak_clip"]


# Folds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [RAVDESS, factories.joined(RAVDESS, TESS, DEMO)], ids=["one", "three"])
def test_folds_keep_speakers_apart_and_corpora_in_training(table: pd.DataFrame) -> None:
    """A speaker is held out at once, and a corpus never, so that it is always trained on too."""
    fold = leakage._folds(table, "speaker", seed=1)
    assert set(fold) == set(range(leakage.FOLDS))
    assert (fold.groupby(table.speaker).nunique() == 1).all()
    assert (fold.groupby(table.corpus).nunique() == table.groupby("corpus").speaker.nunique().clip(upper=3)).all()


def test_corpora_of_one_speaker() -> None:
    """Two of them are tested by what is learnt from the other; none is told from the other, as none would be known."""
    table = factories.joined(RAVDESS[RAVDESS.speaker == "ravdess-01"], TESS[TESS.speaker == "tess-OAF"])
    found = measured(table, codes(table, "emotion"))
    assert set(found.probe) == {"leak_clip", "leak_speaker"}
    assert (found.uar[found.corpus == "tess"] > 0.95).all()


def test_a_corpus_of_one_speaker_is_left_out_by_name() -> None:
    """Beside two corpora that can be told apart it is in neither their clips nor the emotions they share."""
    table = factories.joined(RAVDESS, TESS, DEMO[(DEMO.speaker == DEMO.speaker.min()) & (DEMO.emotion == "calm")])
    found = measured(table, codes(table, "corpus"))
    shortcuts = found[found.probe.str.startswith("shortcut")]
    assert list(shortcuts.corpus) == ["", "ravdess", "tess"] * 2
    assert shortcuts.uar.min() > 0.98
    assert shortcuts.note.str.endswith("left out, as fewer than two speakers are known: demo").all()


def test_few_clips() -> None:
    """A clip or two of an emotion or a corpus are no error, and nothing is complained of."""
    few = factories.joined(RAVDESS.drop_duplicates("emotion"), TESS.iloc[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(measured(few, codes(few, "emotion"))) > 0


def test_the_seed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives the same table on any number of cores, and another gives another."""
    table = factories.with_copies(TESS, kinds=["noise"])
    vectors = codes(table, "emotion", sd=1)
    one = measured(table, vectors)
    monkeypatch.setenv("SER_WORKERS", "2")
    pd.testing.assert_frame_equal(one, measured(table, vectors))
    assert pooled(one) != pooled(measured(table, vectors, seed=2))


# Words ----------------------------------------------------------------------------------------------------------------


def scores(**uars: float) -> pd.DataFrame:
    """Make the table of probes, with the same score for two corpora as for both."""
    rows = [(probe, corpus, uar, 9, 4, 2, "") for probe, uar in uars.items() for corpus in ("", "mine", "tess")]
    return pd.DataFrame(rows, columns=list(leakage.COLUMNS))


def test_sentences(tmp_path: Any) -> None:
    """They name both scores as shown and the points between these, and say the same of the table's file."""
    table = scores(leak_clip=0.856, leak_speaker=0.524, shortcut_corpus=0.99)
    table.to_csv(tmp_path / "probe.csv", index=False)
    expected = [
        "A random forest has a UAR of 0.86 on random clips and of 0.52 on unseen speakers: "
        "a random split would flatter by 34 points. This is another forest than the leaderboard's, with other scores: "
        "it is not tuned, and is tested on clips of all splits, in folds of its own.",
        "Unseen speakers of each corpus, from training on all: 0.52 on mine (2 emotions), 0.52 on tess (2 emotions).",
        "The corpus of an unseen speaker is told with a UAR of 0.99 (chance 0.50): 0.99 of mine, 0.99 of tess.",
    ]
    assert leakage.describe_leakage(table) == expected
    assert leakage.describe_leakage(pd.read_csv(tmp_path / "probe.csv")) == expected


@pytest.mark.parametrize(("before", "words"), [(0.91, "flatter by 1 point."), (0.9, "not flatter here.")])
def test_sentences_about_copies(before: float, words: str) -> None:
    """A point is not called points, and no gain no gain."""
    table = scores(leak_augmented_after_split=0.9, leak_augmented_before_split=before)
    (sentence,) = leakage.describe_leakage(table)
    assert sentence.endswith(f"this leak, which the pipeline refuses, would {words}")


def test_known_voices_that_are_understood_worse_are_explained() -> None:
    """That a random split does not flatter surprises, so a reason is given; where it does, there is none to give."""
    (sentence,) = leakage.describe_leakage(scores(leak_clip=0.36, leak_speaker=0.53))[:1]
    assert "would not flatter here. (Where each speaker says each sentence once an emotion" in sentence
    assert "(Where" not in leakage.describe_leakage(scores(leak_clip=0.53, leak_speaker=0.53))[0]


def test_nothing_measured_nothing_said() -> None:
    """Random clips alone are no comparison."""
    assert leakage.describe_leakage(scores(leak_clip=0.9)) == []
