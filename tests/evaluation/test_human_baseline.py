"""What people heard is judged by the same code as what models answer, on the same clips."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.corpora.base import load_corpus
from ser.evaluation import human_baseline, metrics
from ser.predictions.table import classes_of, prediction_table
from tests.helpers import factories

SIX = ("neutral", "happy", "sad", "angry", "fearful", "disgust")


def predicted(names: list[str], *, corpus: str = "crema_d", classes: tuple[str, ...] = SIX) -> pd.DataFrame:
    """Make the test rows of a model that answers the first class."""
    clips = factories.clips(corpus, names).assign(fold=1, split="test")
    shares = np.eye(len(classes))[np.zeros(len(clips), dtype=int)]
    return prediction_table(clips, shares, classes=classes, seed=1)


def test_votes_are_answers() -> None:
    """What most heard is the answer, of a draw one of those who drew; the table is a prediction table otherwise."""
    votes = load_corpus("crema_d").majority_votes()
    one = next(name for name, words in votes.items() if words == ["sad"] and "_SAD_" in name)
    drawn = next(name for name, words in votes.items() if words == ["neutral", "sad"])
    heard = human_baseline.human_predictions(predicted([one, drawn]), factories.emotions(*SIX), seed=1).set_index(
        "clip_id"
    )
    assert heard.predicted[f"crema_d/{one}"] == "sad"
    assert heard.predicted[f"crema_d/{drawn}"] in ("neutral", "sad")
    assert heard.loc[f"crema_d/{drawn}", ["prob_neutral", "prob_sad", "prob_angry"]].to_list() == [0.5, 0.5, 0.0]


def test_people_are_asked_once_a_clip() -> None:
    """Several seeds of a model are several rows a clip, of people there is one."""
    name = "1001_IEO_NEU_XX"
    rows = pd.concat([predicted([name]), predicted([name]).assign(seed=2)])
    assert len(human_baseline.human_predictions(rows, factories.emotions(*SIX), seed=1)) == 1


def test_people_who_were_asked_another_question_are_left_out() -> None:
    """A run that lacks an emotion they could choose, or a corpus without votes, has no such reference."""
    name = "1001_IEO_NEU_XX"
    assert human_baseline.human_predictions(
        predicted([name], classes=SIX[:3]), factories.emotions(*SIX[:3]), seed=1
    ).empty
    assert human_baseline.human_predictions(
        predicted(["OAF_back_angry"], corpus="tess"), factories.emotions(*SIX), seed=1
    ).empty


def test_all_of_crema_d(corpora: Path) -> None:
    """Over the whole corpus people's accuracy is that of the published votes, half of each draw counted."""
    listing = corpora / "listings" / "crema_d_human_votes.csv"
    if not listing.is_file():
        pytest.skip(f"{listing} is not there; set SER_CORPORA to a folder that has it")
    table = pd.read_csv(listing)
    codes = {"ANG": "A", "DIS": "D", "FEA": "F", "HAP": "H", "NEU": "N", "SAD": "S"}
    meant = table.FileName.str.split("_").str[2].map(codes)
    votes = table.VoiceVote.str.split(":")
    expected = np.mean([(code in vote) / len(vote) for code, vote in zip(meant, votes, strict=True)])
    heard = human_baseline.human_predictions(predicted(list(table.FileName)), factories.emotions(*SIX), seed=1)
    judged = metrics.compute_metrics(heard, classes=classes_of(heard))
    assert len(heard) == 7442
    assert judged["accuracy"] == pytest.approx(expected, abs=0.01)
