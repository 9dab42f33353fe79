"""Test the descriptions of the evaluation protocol and of the sizes of splits."""

from typing import get_args

import pandas as pd
import pytest

from ser.corpora.base import known_corpora, load_corpus, published_folds
from ser.dataset import protocol, splits
from ser.params import Protocol, Split
from tests.helpers import factories


def split_of(clips: pd.DataFrame, settings: Split) -> pd.DataFrame:
    return splits.split_clips(clips, settings, emotions=factories.emotions(), seed=1)


@pytest.mark.parametrize(
    ("corpora", "settings", "n_folds"),
    [
        (["ravdess"], factories.split("speaker_independent"), 1),
        (["ravdess"], factories.split("text_independent", folds=5), 5),
        (["ravdess", "tess", "demo"], factories.split("cross_corpus"), 3),
        (["savee", "ravdess"], factories.split("speaker_independent", published="emobox"), 6),
    ],
)
def test_folds_are_counted(corpora: list[str], settings: Split, n_folds: int) -> None:
    """The number is that of the settings, the published table or the corpora."""
    published = published_folds(corpora, settings.fold_table)
    assert protocol.count_folds(corpora, settings, published=published) == n_folds
    assert protocol.effective_protocol(corpora, settings, unknown=[]) == settings.protocol
    sentence = protocol.describe_protocol(corpora, settings, unknown=[], published=published)
    assert (f"{n_folds}-fold cross-validation" in sentence) == (n_folds > 1)


def test_protocols_have_different_descriptions() -> None:
    """Protocols that test training speakers are called optimistic; the order of the corpora does not matter."""
    corpora, options = ["tess", "ravdess"], {"unknown": [], "published": {}}
    texts = {name: protocol.describe_protocol(corpora, factories.split(name), **options) for name in get_args(Protocol)}
    assert len(set(texts.values())) == len(texts)
    assert {name for name, text in texts.items() if "optimistic" in text} == {"text_independent", "random"}
    assert all(text.startswith("ravdess + tess, ") for text in texts.values())


def test_protocol_is_random_if_all_speakers_are_unknown() -> None:
    """One corpus with known speakers is enough for speaker independence."""
    settings = factories.split("speaker_independent")
    assert protocol.effective_protocol(["mine"], settings, unknown=["mine"]) == "random"
    assert protocol.effective_protocol(["mine", "tess"], settings, unknown=["mine"]) == "speaker_independent"


def test_published_folds_are_described() -> None:
    """All tables have a description, which is part of that of the protocol."""
    settings = factories.split("speaker_independent", published="emobox")
    folds = published_folds(["ravdess"], "emobox")
    sentence = protocol.describe_protocol(["ravdess"], settings, unknown=[], published=folds)
    assert sentence.startswith("ravdess, 6-fold cross-validation over speakers, by EmoBox's folds")
    assert set(protocol.PUBLISHED_FOLDS) == {table for name in known_corpora() for table in load_corpus(name).folds}


def test_split_summary_counts_speakers_and_clips() -> None:
    """There is one line per fold."""
    clips = factories.ravdess()
    table = split_of(clips, factories.split("speaker_independent", folds=3))
    lines = protocol.format_split_summary(clips, table)
    assert [line.partition(":")[0] for line in lines] == ["fold 1", "fold 2", "fold 3"]
    fold = splits.assign_splits(clips, table[table.fold == 2], augmentations=())
    sizes = fold.groupby("split").agg({"speaker": "nunique", "clip_id": "size"})
    assert f"test {sizes.speaker.test} speakers, {sizes.clip_id.test} clips" in lines[1]


@pytest.mark.parametrize(
    ("first_unknown", "expected"),
    [(1, "unknown speakers"), (24, "23 speakers and unknown speakers"), (25, "24 speakers")],
)
def test_unknown_speakers_are_not_counted(first_unknown: int, expected: str) -> None:
    """They are mentioned instead."""
    clips = factories.ravdess()
    table = split_of(clips, factories.split("random"))
    clips.loc[clips.speaker.str[-2:].astype(int) >= first_unknown, "speaker"] = "ravdess-"
    [line] = protocol.format_split_summary(clips, table)
    assert line == f"train {expected}, 1,008 clips; val {expected}, 216 clips; test {expected}, 216 clips"
