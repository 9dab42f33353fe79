"""Test leakage checks on features with known leaks and shortcuts, and on features without."""

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


def features(table: pd.DataFrame, *columns: str, sd: float = 0.1) -> Any:
    """Make six features that depend only on the values of some columns, with noise: (clips, 6)."""
    rng = np.random.default_rng(0)
    group = table.groupby(list(columns)).ngroup().to_numpy()
    vectors = rng.normal(size=(group.max() + 1, 6))[group] + sd * rng.normal(size=(len(table), 6))
    return vectors.astype(np.float32)


def check(table: pd.DataFrame, vectors: Any, *, seed: int = 1) -> pd.DataFrame:
    return leakage.run_leakage_checks(table, vectors, emotions=factories.emotions(), n_estimators=20, seed=seed)


def pooled(results: pd.DataFrame) -> dict[str, float]:
    return dict(results[results.corpus == ""].set_index("probe").uar)


def test_speaker_leakage() -> None:
    """If features of emotions depend on the speaker, random clips are easy and unseen speakers are at chance."""
    uars = pooled(check(RAVDESS, features(RAVDESS, "speaker", "emotion")))
    assert uars["leak_clip"] > 0.95
    assert uars["leak_speaker"] == pytest.approx(1 / len(EMOTIONS), abs=0.1)


def test_augmentation_leakage() -> None:
    """If a clip resembles only its augmented clips, these leak, and augmented clips of other clips do not."""
    table = factories.with_copies(RAVDESS)
    uars = pooled(check(table, features(table, "original_id", sd=0.01)))
    assert uars["leak_augmented_before_split"] > 0.9
    for name in ("leak_clip", "leak_speaker", "leak_augmented_after_split"):
        assert uars[name] == pytest.approx(1 / len(EMOTIONS), abs=0.08)


def test_corpora_are_identified_by_an_offset_only() -> None:
    """Corpora of unseen speakers are identified by what their clips have in common; without it, UAR is at chance."""
    table = factories.joined(RAVDESS, DEMO)
    offset, none = (pooled(check(table, features(table, column))) for column in ("corpus", "emotion"))
    for name in ("shortcut_corpus", "shortcut_corpus_shared_emotions"):
        assert offset[name] > 0.98
        assert none[name] == pytest.approx(0.5, abs=0.1)


def test_shared_emotions_are_balanced() -> None:
    """Different emotions identify a corpus, but not in the check on shared emotions, whatever their frequencies."""
    ravdess = RAVDESS[RAVDESS.emotion.isin(["neutral", "happy", "sad"])]
    demo = DEMO[DEMO.emotion.isin(["happy", "sad", "angry"])]
    table = factories.joined(ravdess, demo[(demo.emotion != "sad") | demo.sentence.isin(["back", "kids"])])
    uars = pooled(check(table, features(table, "emotion")))
    assert uars["shortcut_corpus"] > 0.65
    assert uars["shortcut_corpus_shared_emotions"] == pytest.approx(0.5, abs=0.12)


def test_one_corpus_has_no_shortcut_checks() -> None:
    """One corpus without augmented clips has a row for random clips and one for unseen speakers."""
    results = check(RAVDESS, features(RAVDESS, "emotion"))
    assert results[["probe", "corpus"]].to_numpy().tolist() == [["leak_clip", ""], ["leak_speaker", ""]]
    assert results[["clips", "speakers", "classes"]].to_numpy().tolist() == [[360, 6, 8]] * 2
    assert results.uar.min() > 0.98


def test_each_corpus_has_a_row() -> None:
    """With two corpora each check has three rows, whose clips add up."""
    table = factories.with_copies(factories.joined(RAVDESS, TESS))
    results = check(table, features(table, "corpus", "emotion"))
    assert results.probe.nunique() == 6
    counts = ["clips", "speakers"]
    for _, rows in results.groupby("probe"):
        assert list(rows.corpus) == ["", "ravdess", "tess"]
        assert (rows[counts].iloc[0] == rows[counts].iloc[1:].sum()).all()
        assert rows.uar.min() > 0.98
    classes = results[results.probe.str.startswith("leak")].groupby("corpus").classes.agg(set)
    assert dict(classes) == {"": {8}, "ravdess": {8}, "tess": {7}}


def test_corpora_with_unknown_speakers_are_excluded() -> None:
    """Random clips and unseen speakers are compared on the same clips; notes name the excluded corpus."""
    table = factories.joined(RAVDESS, TESS.assign(speaker="tess-"))
    results = check(table, features(table, "emotion"))
    assert list(results.probe) == ["leak_clip", "leak_speaker"]
    assert set(results.clips) == {len(RAVDESS)}
    assert results.note.str.endswith("unknown: tess").all()


@pytest.mark.parametrize("speakers", [{"OAF": "", "YAF": ""}, {"YAF": "OAF"}])
def test_one_or_unknown_speakers_have_no_speaker_check(speakers: dict[str, str]) -> None:
    """Only random clips are evaluated."""
    table = TESS.assign(speaker=TESS.speaker.replace({f"tess-{a}": f"tess-{b}" for a, b in speakers.items()}))
    assert list(check(table, features(table, "emotion")).probe) == ["leak_clip"]


def test_corpora_of_one_speaker_are_in_different_folds() -> None:
    """Each is predicted by training on the other, and there is no shortcut check."""
    table = factories.joined(RAVDESS[RAVDESS.speaker == "ravdess-01"], TESS[TESS.speaker == "tess-OAF"])
    results = check(table, features(table, "emotion"))
    assert set(results.probe) == {"leak_clip", "leak_speaker"}
    assert (results.uar[results.corpus == "tess"] > 0.95).all()


def test_a_third_corpus_of_one_speaker_is_excluded_from_shortcut_checks() -> None:
    """Neither its clips nor its lack of emotions count; notes name it."""
    table = factories.joined(RAVDESS, TESS, DEMO[(DEMO.speaker == DEMO.speaker.min()) & (DEMO.emotion == "calm")])
    results = check(table, features(table, "corpus"))
    shortcuts = results[results.probe.str.startswith("shortcut")]
    assert list(shortcuts.corpus) == ["", "ravdess", "tess"] * 2
    assert shortcuts.uar.min() > 0.98
    assert shortcuts.note.str.endswith("known: demo").all()


def test_few_clips_raise_no_warning() -> None:
    """One clip per emotion, and a corpus of one clip, are valid."""
    few = factories.joined(RAVDESS.drop_duplicates("emotion"), TESS.iloc[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(check(few, features(few, "emotion"))) > 0


def test_results_depend_on_the_seed_and_not_on_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives the same table, another seed another."""
    table = factories.with_copies(TESS, kinds=["noise"])
    vectors = features(table, "emotion", sd=1)
    first = check(table, vectors)
    monkeypatch.setenv("SER_WORKERS", "2")
    pd.testing.assert_frame_equal(first, check(table, vectors))
    assert pooled(first) != pooled(check(table, vectors, seed=2))


def scores(**uars: float) -> pd.DataFrame:
    """Make the results of checks, with the same UAR for two corpora as for both."""
    rows = [(name, corpus, uar, 9, 4, 2, "") for name, uar in uars.items() for corpus in ("", "mine", "tess")]
    return pd.DataFrame(rows, columns=list(leakage.COLUMNS))


def test_description_contains_the_scores(tmp_path: Any) -> None:
    """Sentences have the scores and their difference as shown, also from the CSV file; none without a comparison."""
    table = scores(leak_clip=0.856, leak_speaker=0.524, shortcut_corpus=0.99)
    table.to_csv(tmp_path / "leakage.csv", index=False)
    sentences = leakage.describe_leakage(table)
    assert leakage.describe_leakage(pd.read_csv(tmp_path / "leakage.csv")) == sentences
    expected = (["0.86", "0.52", "34 points"], ["0.52 on mine (2 emotions)", "0.52 on tess"], ["0.99", "chance 0.50"])
    for sentence, texts in zip(sentences, expected, strict=True):
        assert all(text in sentence for text in texts)
    assert leakage.describe_leakage(scores(leak_clip=0.9)) == []


def test_descriptions_of_bias() -> None:
    """The bias is in points; without one, it is denied, and a lower score on random clips is explained."""
    for before, bias in ((0.91, "by 1 point."), (0.9, "does not overestimate UAR here.")):
        augmented = scores(leak_augmented_after_split=0.9, leak_augmented_before_split=before)
        assert leakage.describe_leakage(augmented)[0].endswith(bias)
    for uar, explained in ((0.36, True), (0.53, False)):
        sentence = leakage.describe_leakage(scores(leak_clip=uar, leak_speaker=0.53))[0]
        assert ("(If each speaker" in sentence) == explained
