"""Every model is judged alike, and on the same clips."""

from pathlib import Path

import pandas as pd
import pytest

from ser.evaluation import significance, summary
from ser.utils.errors import UserError
from tests.helpers.three_models import ANSWERS, CLASSES, SETTINGS, SPLITS, TRUE, judged, table, write_predictions


def numbers_of(model: str) -> dict[str, dict[str, float]]:
    return summary.summarize(table(model), SETTINGS, seed=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_predictions(tmp_path / "predictions")
    return tmp_path / "predictions"


def test_models_are_judged_and_ranked(folder: Path) -> None:
    """Each model gets the metrics of its own table, and the best on test clips comes first."""
    found = judged(folder)
    assert list(found.board.model) == ["lstm", "knn", "svm"]
    assert list(found.board.uar) == pytest.approx([1, 2 / 3, 1 / 3])
    assert found.classes == CLASSES
    assert found.metrics == {model: numbers_of(model) for model in ANSWERS}


def test_models_are_compared_on_test_clips(folder: Path) -> None:
    """Each two models are compared, and those marked that are not shown to be worse than the best."""
    found = judged(folder)
    tested = {model: summary.select_test_rows(table(model)) for model in ANSWERS}
    pd.testing.assert_frame_equal(found.pairs, significance.compare(tested, resamples=100, seed=1))
    assert list(found.board.model[found.board.not_significantly_worse]) == [
        "lstm",
        "knn",
        "svm",
    ]  # two speakers tell nothing


def test_the_best_are_marked_where_there_are_enough_speakers(folder: Path) -> None:
    """With six speakers a model that is worse for each is shown to be worse; where nobody knows who speaks, none."""
    for speakers, marked in ((list("abcdef") * 2, ["lstm"]), ([""] * 12, ["lstm", "knn", "svm"])):
        for model in ANSWERS:
            named = table(model).assign(speaker=[f"ravdess-{who}" for who in speakers])
            named.to_parquet(folder / f"{model}.parquet", index=False)
        board = judged(folder).board
        assert list(board.model[board.not_significantly_worse])[: len(marked)] == marked
        assert board.uar_ci_low.notna().all() == (speakers[0] != "")


def test_one_model_alone(folder: Path) -> None:
    """A run without baselines has a leaderboard of one, and no pair."""
    found = judged(folder, "lstm")
    assert list(found.board.not_significantly_worse) == [True]
    assert found.pairs.empty
    assert list(found.pairs) == list(significance.PAIR_COLUMNS)


def test_a_missing_table_is_named(folder: Path) -> None:
    """The error names the table and the model that makes it."""
    (folder / "knn.parquet").unlink()
    with pytest.raises(UserError, match=r"knn\.parquet was not found; run `dvc repro`, which trains knn"):
        judged(folder)


def test_an_invalid_table_is_named(folder: Path) -> None:
    """A table that breaks the contract is refused with the name of its model."""
    table("knn").assign(prob_sad=7.0).to_parquet(folder / "knn.parquet")
    with pytest.raises(UserError, match="predictions of knn: "):
        judged(folder)


@pytest.mark.parametrize("change", ["fewer", "more", "others", "splits", "truth"])
def test_models_of_different_clips_are_not_compared(folder: Path, change: str) -> None:
    """Models are ranked only where they answered the same questions: clips, splits, and what is right."""
    own = table("svm")
    changed = {
        "fewer": own.iloc[:-1],
        "more": pd.concat([own, own.iloc[:1].assign(clip_id="tess/OAF_back_sad")]),
        "others": own.assign(clip_id=own.clip_id.str.replace("ravdess", "savee")),
        "splits": own.assign(split=SPLITS[::-1]),
        "truth": own.assign(emotion=TRUE[::-1]),
    }
    changed[change].to_parquet(folder / "svm.parquet")
    with pytest.raises(UserError, match=r"svm and lstm|lstm and svm"):
        judged(folder)


def test_the_order_of_rows_does_not_matter(folder: Path) -> None:
    """A model may write its clips in any order."""
    table("svm").sample(frac=1, random_state=0).to_parquet(folder / "svm.parquet")
    assert judged(folder).metrics["svm"] == numbers_of("svm")
