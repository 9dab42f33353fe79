"""Test the human baseline: votes become a prediction table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.corpora.base import load_corpus
from ser.evaluation import metrics
from ser.evaluation.human_baseline import human_predictions
from ser.predictions.table import classes_of, prediction_table
from tests.helpers import factories

SIX = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
NAME = "1001_IEO_NEU_XX"


def predicted(names: list[str], *, corpus: str = "crema_d", classes: tuple[str, ...] = SIX) -> pd.DataFrame:
    """Make test rows of a model that always predicts the first class."""
    clips = factories.clips(corpus, names).assign(fold=1, split="test")
    probs = np.eye(len(classes))[np.zeros(len(clips), dtype=int)]
    return prediction_table(clips, probs, classes=classes, seed=1)


def test_votes_are_predictions() -> None:
    """The emotion with most votes is the prediction, or one of the tied ones; probabilities are divided among these."""
    votes = load_corpus("crema_d").majority_votes()
    clear = next(name for name, emotions in votes.items() if emotions == ["sad"] and "_SAD_" in name)
    tied = next(name for name, emotions in votes.items() if emotions == ["neutral", "sad"])
    rows = predicted([clear, tied])
    both = pd.concat([rows, rows.assign(seed=2)])  # seeds of a model do not repeat the votes
    table = human_predictions(both, factories.emotions(*SIX), seed=1).set_index("clip_id")
    assert len(table) == 2
    assert table.predicted[f"crema_d/{clear}"] == "sad"
    assert table.predicted[f"crema_d/{tied}"] in ("neutral", "sad")
    assert table.loc[f"crema_d/{tied}", ["prob_neutral", "prob_sad", "prob_angry"]].to_list() == [0.5, 0.5, 0.0]


def test_runs_without_comparable_votes_have_no_baseline() -> None:
    """The run lacks an emotion that listeners could choose, or the corpus has no votes."""
    assert human_predictions(predicted([NAME], classes=SIX[:3]), factories.emotions(*SIX[:3]), seed=1).empty
    assert human_predictions(predicted(["OAF_back_angry"], corpus="tess"), factories.emotions(*SIX), seed=1).empty


def test_accuracy_on_crema_d(corpora: Path) -> None:
    """Over the corpus, accuracy is that of the published votes, with ties counted in part."""
    listing = corpora / "listings" / "crema_d_human_votes.csv"
    if not listing.is_file():
        pytest.skip(f"{listing} not found; set SER_CORPORA to a folder that has it")
    table = pd.read_csv(listing)
    codes = {"ANG": "A", "DIS": "D", "FEA": "F", "HAP": "H", "NEU": "N", "SAD": "S"}
    true = table.FileName.str.split("_").str[2].map(codes)
    votes = table.VoiceVote.str.split(":")
    expected = np.mean([(code in vote) / len(vote) for code, vote in zip(true, votes, strict=True)])
    humans = human_predictions(predicted(list(table.FileName)), factories.emotions(*SIX), seed=1)
    assert len(humans) == 7442
    accuracy = metrics.compute_metrics(humans, classes=classes_of(humans))["accuracy"]
    assert accuracy == pytest.approx(expected, abs=0.01)
