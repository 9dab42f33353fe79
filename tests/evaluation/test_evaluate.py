"""Test the evaluation and the ranking of models."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser.evaluation import significance, summary
from ser.utils.errors import UserError
from tests.helpers.three_models import CLASSES, PREDICTED, SETTINGS, SPLITS, TRUE, evaluate, table, write_predictions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_predictions(tmp_path / "predictions")
    return tmp_path / "predictions"


def test_models_are_evaluated_and_ranked(folder: Path) -> None:
    """Each model has the metrics of its table, in any order of rows; models are ranked and compared by test clips."""
    table("svm").sample(frac=1, random_state=0).to_parquet(folder / "svm.parquet")
    results = evaluate(folder)
    assert list(results.leaderboard.model) == ["lstm", "knn", "svm"]
    assert list(results.leaderboard.uar) == pytest.approx([1, 2 / 3, 1 / 3])
    assert list(results.leaderboard.not_significantly_worse) == [True] * 3  # too few speakers
    assert results.classes == CLASSES
    assert results.metrics == {model: summary.summarize(table(model), SETTINGS, seed=1) for model in PREDICTED}
    test_rows = {model: summary.select_test_rows(table(model)) for model in PREDICTED}
    pd.testing.assert_frame_equal(results.pairs, significance.compare(test_rows, resamples=100, seed=1))


@pytest.mark.parametrize(
    ("speakers", "marked"), [(list("abcdef") * 2, ["lstm"]), ([""] * 12, ["lstm", "knn", "svm"])], ids=["six", "none"]
)
def test_not_significantly_worse_models_are_marked(folder: Path, speakers: list[str], marked: list[str]) -> None:
    """A model that is worse for each of six speakers is not marked; with unknown speakers, all are."""
    for model in PREDICTED:
        named = table(model).assign(speaker=[f"ravdess-{speaker}" for speaker in speakers])
        named.to_parquet(folder / f"{model}.parquet", index=False)
    ranking = evaluate(folder).leaderboard
    assert list(ranking.model[ranking.not_significantly_worse])[: len(marked)] == marked
    assert ranking.uar_ci_low.notna().all() == (speakers[0] != "")


def test_missing_and_invalid_tables_are_named(folder: Path) -> None:
    """The error names the table or its model."""
    table("knn").assign(prob_sad=7.0).to_parquet(folder / "knn.parquet")
    with pytest.raises(UserError, match="predictions of knn"):
        evaluate(folder)
    (folder / "knn.parquet").unlink()
    with pytest.raises(UserError, match=r"knn\.parquet not found"):
        evaluate(folder)


@pytest.mark.parametrize(
    "change",
    [lambda svm: svm[1:], lambda svm: svm.assign(split=SPLITS[::-1]), lambda svm: svm.assign(emotion=TRUE[::-1])],
    ids=["clips", "splits", "emotions"],
)
def test_models_with_different_clips_are_rejected(folder: Path, change: Any) -> None:
    """Models are ranked only if clips, splits and true emotions are the same."""
    change(table("svm")).to_parquet(folder / "svm.parquet")
    with pytest.raises(UserError, match=r"svm and lstm|lstm and svm"):
        evaluate(folder)
