"""What is said of a model first is what one counts by hand, with an interval where there can be one."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import calibration, metrics, summary
from ser.predictions.temperature import apply_temperature
from ser.utils.files import write_json
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad", "angry"]
SETTINGS = factories.settings(evaluate={"n_resamples": 200}).evaluate


def answered(*answers: str, speaker: str = "01", sex: str = "f", fold: int = 1, seed: int = 1) -> pd.DataFrame:
    """Ask for each emotion in turn, as often as there are answers; names of clips are the speaker's own."""
    emotion = [CLASSES[n % 4] for n in range(len(answers))]
    table = factories.predicted(emotion, answers, classes=CLASSES)
    clip_id = [f"ravdess/{speaker}-{fold}-{n}" for n in range(len(answers))]
    known = {"clip_id": clip_id, "original_id": clip_id, "speaker": f"ravdess-{speaker}", "sex": sex}
    return table.assign(**known, fold=fold, seed=seed)


RIGHT = answered(*CLASSES)
HALF = answered("neutral", "happy", "happy", "happy", speaker="02", sex="m")
QUARTER = answered("sad", "sad", "sad", "sad", speaker="03", sex="m")


def judge(*rows: pd.DataFrame, settings: Any = SETTINGS, val: bool = False) -> dict[str, float]:
    table = pd.concat(rows, ignore_index=True)
    both = pd.concat([table, table.assign(split="val", clip_id="val/" + table.clip_id)], ignore_index=True)
    return summary.summarize(both, settings, seed=1)["val" if val else "test"]


# Intervals and spread -------------------------------------------------------------------------------------------------


def test_metrics_stay_as_they_are() -> None:
    """What stands beside the metrics changes none of them, and the validation split has nothing beside."""
    rows = pd.concat([RIGHT, HALF, QUARTER], ignore_index=True)
    expected = {name: round(value, 9) for name, value in metrics.compute_metrics(rows, classes=CLASSES).items()}
    found = {name: round(value, 9) for name, value in judge(rows).items()}
    assert expected.items() <= found.items()
    assert judge(rows, val=True) == pytest.approx(expected)


def test_models_with_as_many_right_are_equal() -> None:
    """Recalls of 0.1, 0.2, 0.3 and 0.7 have a mean that depends on their order, in the last digit."""
    rows = pd.concat([answered(*CLASSES, speaker=f"{n:02}") for n in range(10)], ignore_index=True)
    turn = rows.groupby("emotion").cumcount()
    scores = set()
    for hits in ((1, 2, 3, 7), (3, 2, 1, 7), (7, 1, 3, 2)):
        right = turn < rows.emotion.map(dict(zip(CLASSES, hits, strict=True)))
        wrong = rows.emotion.map(dict(zip(CLASSES, [*CLASSES[1:], CLASSES[0]], strict=True)))
        scores.add(judge(rows.assign(predicted=rows.emotion.where(right, wrong)))["uar"])
    assert scores == {0.325}


def test_two_speakers_have_an_interval() -> None:
    """It lies between the worst and the best speaker, and the score lies in it."""
    found = judge(RIGHT, QUARTER)
    assert found["speakers"] == 2
    assert found["uar"] == pytest.approx(5 / 8)
    for metric in ("uar", "accuracy"):
        assert (found[f"{metric}_ci_low"], found[f"{metric}_ci_high"]) == (0.25, 1)
    for metric in ("f1", *(f"recall_{name}" for name in CLASSES)):
        assert 0 <= found[f"{metric}_ci_low"] <= found[metric] <= found[f"{metric}_ci_high"] <= 1
    assert (found["recall_sad_ci_low"], found["recall_sad_ci_high"]) == (1, 1)


def test_one_speaker_has_none() -> None:
    """Where there is one voice, and where nobody knows whose they are, no limit is made up."""
    found = judge(HALF)
    assert found["speakers"] == 1
    assert [name for name in found if name.endswith(("_ci_low", "_ci_high"))] == []
    unknown = judge(pd.concat([RIGHT, QUARTER]).assign(speaker="ravdess-"))
    assert unknown["speakers"] == 0
    assert not [name for name in unknown if name.startswith(("uar_ci_low", "uar_worst", "uar_best"))]


def test_seeds_are_averaged_and_their_spread_told() -> None:
    """UAR of 1 and of 0.5 have a mean of 0.75 and a standard deviation of 0.354; clips are counted once."""
    other = HALF.assign(clip_id=RIGHT.clip_id, speaker=RIGHT.speaker, sex="f", seed=2)
    found = judge(RIGHT, other)
    apart = [metrics.compute_metrics(rows, classes=CLASSES) for rows in (RIGHT, other)]
    for name in ("uar", "accuracy", "precision", "f1", "roc_auc", "recall_sad"):
        assert found[name] == pytest.approx((apart[0][name] + apart[1][name]) / 2), name
    assert found["uar"] == 0.75
    assert found["uar_seed_sd"] == pytest.approx(np.sqrt(0.125))
    assert found["clips"] == judge(RIGHT, other, val=True)["clips"] == 4
    assert isinstance(found["clips"], int)
    assert "uar_fold_sd" not in found


def test_folds_are_pooled_and_their_spread_told() -> None:
    """UAR is over all clips together; beside it stand mean and deviation of the folds' own."""
    more = [HALF.assign(fold=2), answered(*["happy"] * 8, speaker="04", fold=3)]
    found = judge(RIGHT, *more)
    assert found["uar"] == pytest.approx(np.mean([2 / 4, 1, 1 / 4, 1 / 4]))
    assert found["uar_fold_mean"] == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert found["uar_fold_sd"] == pytest.approx(np.std([1, 0.5, 0.25], ddof=1))
    assert "uar_seed_sd" not in found


def test_altered_copies_are_no_test_clips() -> None:
    """Corrupted copies, all wrong here, change nothing."""
    copies = QUARTER.assign(augmentation="noise", clip_id=QUARTER.clip_id + "+noise.1")
    assert judge(RIGHT, HALF, copies) == judge(RIGHT, HALF)


# What else there is to say --------------------------------------------------------------------------------------------


def test_what_stands_beside_is_counted_by_hand() -> None:
    """Speakers of UAR 1, 0.5 and 0.25, the first a woman: seven of twelve answers are right, each given 0.7."""
    found = judge(RIGHT, HALF, QUARTER)
    assert (found["uar_best_speaker"], found["uar_worst_speaker"]) == (1, 0.25)
    assert found["uar_sex_gap"] == pytest.approx(1 - 3 / 8)
    assert found["cohen_kappa"] == pytest.approx((7 / 12 - 1 / 4) / (1 - 1 / 4))
    assert found["nll"] == pytest.approx(-(7 * np.log(0.7) + 5 * np.log(0.1)) / 12)
    assert found["ece"] == pytest.approx(0.7 - 7 / 12)
    # others are equally likely, so the first of them is second: neutral, which one wrong answer should have been
    assert found["top2_accuracy"] == pytest.approx((7 + 1) / 12)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 3.0, 20.0])
def test_the_raw_error_is_that_before_the_temperature(temperature: float) -> None:
    """Each row's temperature is taken back, however sure it made the model."""
    raw = apply_temperature(pd.concat([RIGHT, HALF, QUARTER], ignore_index=True), 0.8)
    row = np.where(np.arange(len(raw)) % 2, temperature, 1.0)
    tempered = apply_temperature(raw, row).assign(temperature=row)
    found = judge(tempered)
    assert found["ece_uncalibrated"] == pytest.approx(calibration.ece(raw))
    assert found["ece"] == pytest.approx(calibration.ece(tempered))
    assert (found["ece"] == pytest.approx(found["ece_uncalibrated"])) == (temperature == 1)


def task(positive: Sequence[str], negative: Sequence[str]) -> Any:
    binary = {"task": {"positive": list(positive), "negative": list(negative)}}
    return factories.settings(evaluate={"n_resamples": 200, "binary_tasks": binary}).evaluate


def test_a_binary_task_is_judged() -> None:
    """Happy against sad and angry: three of each speaker's clips count, and neutral does not."""
    found = judge(RIGHT, HALF, QUARTER, settings=task(["happy"], ["sad", "angry"]))
    # right: 1/1 and 2/2; the half: 1/1 and 0/2; the quarter: 0/1 and 2/2
    assert found["task_accuracy"] == pytest.approx(6 / 9)
    assert found["task_uar"] == pytest.approx((2 / 3 + 4 / 6) / 2)
    assert 0 <= found["task_roc_auc"] <= 1


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        (["surprised"], ["sad"]),  # no class of the run
        (["happy"], ["calm", "fearful"]),
        (["happy"], ["angry"]),  # a class of which no clip was tested
        (["angry"], ["happy"]),
        (["angry"], ["surprised"]),
    ],
)
def test_a_task_without_one_side_is_none(positive: list[str], negative: list[str]) -> None:
    """Where a side has no class or no clip there is nothing to tell apart: not a number is said of it."""
    rows = [table[table.emotion != "angry"] for table in (RIGHT, HALF)]
    assert [name for name in judge(*rows, settings=task(positive, negative)) if name.startswith("task")] == []


@pytest.mark.parametrize(
    "rows",
    [RIGHT, RIGHT[:1], HALF, pd.concat([RIGHT, QUARTER]).assign(sex=""), RIGHT.assign(speaker="ravdess-")],
    ids=["perfect", "one clip", "one speaker", "unknown sex", "unknown speaker"],
)
def test_every_number_is_one(tmp_path: Any, rows: pd.DataFrame) -> None:
    """What does not exist is left out, so that metrics.json, which knows no NaN, can be written and read as it was."""
    table = pd.concat([rows, rows.assign(split="val", clip_id="val/" + rows.clip_id)], ignore_index=True)
    found = summary.summarize(table, SETTINGS, seed=1)
    write_json(tmp_path / "metrics.json", found)
    assert json.loads((tmp_path / "metrics.json").read_text()) == found
    assert all(np.isfinite(list(numbers.values())).all() for numbers in found.values())


# The leaderboard ------------------------------------------------------------------------------------------------------


def numbers(uar: float, **others: float) -> dict[str, dict[str, float]]:
    return {"test": {"uar": uar, "accuracy": 0.1} | others, "val": {"uar": 1 - uar, "accuracy": 0.2}}


def test_the_leaderboard_is_ranked_by_test_uar() -> None:
    """The best UAR on test clips comes first, whatever accuracy and validation say, and ties with it are marked."""
    judged = {"svm": numbers(0.5), "lstm": numbers(0.6, cohen_kappa=0.4), "knn": numbers(0.3, accuracy=0.9)}
    board = summary.leaderboard(judged, not_significantly_worse=["lstm", "svm"])
    assert list(board)[:4] == ["rank", "model", "uar", "accuracy"]
    assert set(board) == {
        "rank",
        "model",
        "uar",
        "accuracy",
        "cohen_kappa",
        "val_uar",
        "not_significantly_worse",
        *summary.OPTIONAL_METRICS,
    }
    assert board[["rank", "model", "uar", "val_uar", "not_significantly_worse"]].to_numpy().tolist() == [
        [1, "lstm", 0.6, 0.4, True],
        [2, "svm", 0.5, 0.5, True],
        [3, "knn", 0.3, 0.7, False],
    ]
    assert board.cohen_kappa.isna().tolist() == [False, True, True]


def test_equal_models_stand_in_the_order_of_their_names() -> None:
    """A tie does not depend on who was listed first."""
    models = {"svm": numbers(0.5), "knn": numbers(0.5), "lstm": numbers(0.9), "decision_tree": numbers(0.5)}
    expected = ["lstm", "decision_tree", "knn", "svm"]
    assert list(summary.leaderboard(models, not_significantly_worse=[]).model) == expected
    assert list(summary.leaderboard(dict(reversed(models.items())), not_significantly_worse=[]).model) == expected
