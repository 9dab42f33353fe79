"""A split is described by its protocol, and by how many speakers and clips each split has."""

import re

import pandas as pd
import pytest

from ser.corpora.base import known_corpora, load_corpus, published_folds
from ser.dataset import protocol, splits
from ser.params import Split
from tests.helpers import factories


def split_of(clips: pd.DataFrame, settings: Split) -> pd.DataFrame:
    return splits.split_clips(clips, settings, emotions=factories.emotions(), seed=1)


@pytest.mark.parametrize(
    ("corpora", "settings", "expected", "n_folds"),
    [
        (["ravdess"], factories.split("speaker_independent"), "speaker_independent", 1),
        (["ravdess"], factories.split("text_independent", folds=5), "text_independent", 5),
        (["ravdess", "tess", "demo"], factories.split("cross_corpus"), "cross_corpus", 3),
        (["savee", "ravdess"], factories.split("speaker_independent", published="emobox"), "speaker_independent", 6),
    ],
)
def test_folds_are_counted(corpora: list[str], settings: Split, expected: str, n_folds: int) -> None:
    """Folds are those of the settings, of a published table, or the corpora in turn."""
    published = published_folds(corpora, settings.fold_table)
    assert protocol.count_folds(corpora, settings, published=published) == n_folds
    assert protocol.effective_protocol(corpora, settings, unknown=[]) == expected


def test_clips_are_held_out_where_all_speakers_are_unknown() -> None:
    """Speakers cannot be held out where no corpus knows them; with one that does, they are."""
    settings = factories.split("speaker_independent")
    assert protocol.effective_protocol(["mine"], settings, unknown=["mine"]) == "random"
    assert protocol.effective_protocol(["mine", "tess"], settings, unknown=["mine"]) == "speaker_independent"


def test_published_folds_are_credited() -> None:
    """The page says whose folds they are."""
    settings = factories.split("speaker_independent", published="emobox")
    folds = published_folds(["ravdess"], "emobox")
    sentence = protocol.describe_protocol(["ravdess"], settings, unknown=[], published=folds)
    assert sentence.startswith("ravdess, 6-fold cross-validation over speakers, by EmoBox's folds, ")
    assert set(protocol.TABLES) == {table for name in known_corpora() for table in load_corpus(name).folds}


def test_what_is_told_of_a_split() -> None:
    """A line a fold says who is in each split; of random clips, that speakers are in all."""
    (line,) = protocol.format_split_summary(
        factories.ravdess(), split_of(factories.ravdess(), factories.split("random"))
    )
    assert re.fullmatch(
        r"train 24 speakers, [\d,]+ clips; val 24 speakers, \d+ clips; test 24 speakers, \d+ clips", line
    )
    clips, made = factories.ravdess(), split_of(factories.ravdess(), factories.split("speaker_independent", folds=3))
    lines = protocol.format_split_summary(clips, made)
    assert [line.partition(":")[0] for line in lines] == ["fold 1", "fold 2", "fold 3"]
    own = splits.assign_splits(clips, made[made.fold == 2], augmented=False)
    sizes = own.groupby("split").agg({"speaker": "nunique", "clip_id": "size"})
    assert f"test {sizes.speaker.test} speakers, {sizes.clip_id.test} clips" in lines[1]


@pytest.mark.parametrize(
    ("everybody", "told"), [(True, "unknown speakers"), (False, "23 speakers and unknown speakers")]
)
def test_speakers_whom_nobody_knows_are_not_counted(everybody: bool, told: str) -> None:
    """Clips whose speaker nobody knows are no speaker, and never "0 speakers"."""
    clips, made = factories.ravdess(), split_of(factories.ravdess(), factories.split("random"))
    clips.loc[(clips.speaker == "ravdess-24") | everybody, "speaker"] = "ravdess-"
    (line,) = protocol.format_split_summary(clips, made)
    assert [part.split(",")[0].split(maxsplit=1)[1] for part in line.split("; ")] == [told] * 3
