"""Test the summary of a model against values computed by hand, and the ranking of models."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import calibration, metrics, summary
from ser.predictions.temperature import apply_temperature
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad", "angry"]
SETTINGS = factories.settings(evaluate={"n_resamples": 200}).evaluate


def predicted(*names: str, speaker: str = "01", sex: str = "f", fold: int = 1, seed: int = 1) -> pd.DataFrame:
    """Predict clips of each emotion in turn."""
    table = factories.predicted([CLASSES[n % 4] for n in range(len(names))], names, classes=CLASSES)
    clip_id = [f"ravdess/{speaker}-{fold}-{n}" for n in range(len(names))]
    metadata = {"clip_id": clip_id, "original_id": clip_id, "speaker": f"ravdess-{speaker}", "sex": sex}
    return table.assign(**metadata, fold=fold, seed=seed)


ALL_CORRECT = predicted(*CLASSES)
HALF = predicted("neutral", "happy", "happy", "happy", speaker="02", sex="m")
QUARTER = predicted("sad", "sad", "sad", "sad", speaker="03", sex="m")


def with_val(*rows: pd.DataFrame) -> pd.DataFrame:
    table = pd.concat(rows, ignore_index=True)
    return pd.concat([table, table.assign(split="val", clip_id="val/" + table.clip_id)], ignore_index=True)


def summarize(*rows: pd.DataFrame, settings: Any = SETTINGS, split: str = "test") -> dict[str, float]:
    return summary.summarize(with_val(*rows), settings, seed=1)[split]


def test_summary_extends_the_metrics() -> None:
    """The test split has the metrics and more, the validation split only these; augmented clips are excluded."""
    rows = pd.concat([ALL_CORRECT, HALF, QUARTER], ignore_index=True)
    expected = {name: round(value, 9) for name, value in metrics.compute_metrics(rows, classes=CLASSES).items()}
    scores = {name: round(value, 9) for name, value in summarize(rows).items()}
    assert expected.items() <= scores.items()
    assert summarize(rows, split="val") == pytest.approx(expected)
    augmented = QUARTER.assign(augmentation="noise", clip_id=QUARTER.clip_id + "+noise.1")
    assert summarize(ALL_CORRECT, HALF, augmented) == summarize(ALL_CORRECT, HALF)


def test_equal_models_have_equal_scores() -> None:
    """Recalls of 0.1, 0.2, 0.3 and 0.7 have a mean whose last digit depends on their order."""
    rows = pd.concat([predicted(*CLASSES, speaker=f"{n:02}") for n in range(10)], ignore_index=True)
    number = rows.groupby("emotion").cumcount()
    wrong = rows.emotion.map(dict(zip(CLASSES, [*CLASSES[1:], CLASSES[0]], strict=True)))
    scores = set()
    for hits in ((1, 2, 3, 7), (3, 2, 1, 7), (7, 1, 3, 2)):
        correct = number < rows.emotion.map(dict(zip(CLASSES, hits, strict=True)))
        scores.add(summarize(rows.assign(predicted=rows.emotion.where(correct, wrong)))["uar"])
    assert scores == {0.325}


def test_intervals_need_two_known_speakers() -> None:
    """The limits of two speakers are the worst and the best; otherwise limits are omitted."""
    scores = summarize(ALL_CORRECT, QUARTER)
    for metric, limits in {"uar": (0.25, 1), "accuracy": (0.25, 1), "recall_sad": (1, 1)}.items():
        assert (scores[f"{metric}_ci_low"], scores[f"{metric}_ci_high"]) == limits
    unknown = pd.concat([ALL_CORRECT, QUARTER]).assign(speaker="ravdess-")
    for rows, n_speakers in ((ALL_CORRECT, 1), (unknown, 0)):
        scores = summarize(rows)
        assert scores["speakers"] == n_speakers
        assert not [name for name in scores if name.endswith(("_ci_low", "_ci_high"))]
        assert ("uar_worst_speaker" in scores, "uar_best_speaker" in scores) == (n_speakers > 0,) * 2


def test_seeds_are_averaged() -> None:
    """UAR of 1 and of 0.5 have a mean of 0.75 and a standard deviation of 0.354; clips are counted once."""
    second = HALF.assign(clip_id=ALL_CORRECT.clip_id, speaker=ALL_CORRECT.speaker, sex="f", seed=2)
    scores = summarize(ALL_CORRECT, second)
    assert scores["uar"] == scores["accuracy"] == 0.75
    assert scores["uar_seed_sd"] == pytest.approx(np.sqrt(0.125))
    assert scores["clips"] == summarize(ALL_CORRECT, second, split="val")["clips"] == 4
    assert isinstance(scores["clips"], int)
    assert "uar_fold_sd" not in scores


def test_folds_are_pooled() -> None:
    """UAR is over all clips; mean and standard deviation over folds are listed."""
    scores = summarize(ALL_CORRECT, HALF.assign(fold=2), predicted(*["happy"] * 8, speaker="04", fold=3))
    assert scores["uar"] == pytest.approx(np.mean([2 / 4, 1, 1 / 4, 1 / 4]))
    assert scores["uar_fold_mean"] == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert scores["uar_fold_sd"] == pytest.approx(np.std([1, 0.5, 0.25], ddof=1))
    assert "uar_seed_sd" not in scores


def test_other_metrics_match_hand_computed_values() -> None:
    """Speakers of UAR 1, 0.5 and 0.25, the first female: 7 of 12 predictions are correct, each with confidence 0.7."""
    scores = summarize(ALL_CORRECT, HALF, QUARTER)
    assert (scores["uar_best_speaker"], scores["uar_worst_speaker"]) == (1, 0.25)
    assert scores["uar_sex_gap"] == pytest.approx(1 - 3 / 8)
    assert scores["cohen_kappa"] == pytest.approx((7 / 12 - 1 / 4) / (1 - 1 / 4))
    assert scores["nll"] == pytest.approx(-(7 * np.log(0.7) + 5 * np.log(0.1)) / 12)
    assert scores["ece"] == pytest.approx(0.7 - 7 / 12)
    # the other classes are tied, so the second is the first of them: neutral, which is correct once
    assert scores["top2_accuracy"] == pytest.approx((7 + 1) / 12)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_uncalibrated_error_is_that_before_temperature_scaling(temperature: float) -> None:
    """The temperature of each row is undone."""
    raw = apply_temperature(pd.concat([ALL_CORRECT, HALF, QUARTER], ignore_index=True), 0.8)
    row = np.where(np.arange(len(raw)) % 2, temperature, 1.0)
    scaled = apply_temperature(raw, row).assign(temperature=row)
    scores = summarize(scaled)
    assert scores["ece_uncalibrated"] == pytest.approx(calibration.ece(raw))
    assert scores["ece"] == pytest.approx(calibration.ece(scaled))
    assert (scores["ece"] == pytest.approx(scores["ece_uncalibrated"])) == (temperature == 1)


def task(positive: Sequence[str], negative: Sequence[str]) -> Any:
    binary = {"task": {"positive": list(positive), "negative": list(negative)}}
    return factories.settings(evaluate={"n_resamples": 200, "binary_tasks": binary}).evaluate


def test_binary_tasks() -> None:
    """Happy against sad and angry: correct are 1/1 and 2/2, 1/1 and 0/2, 0/1 and 2/2. Both sides need clips."""
    scores = summarize(ALL_CORRECT, HALF, QUARTER, settings=task(["happy"], ["sad", "angry"]))
    assert (scores["task_accuracy"], scores["task_uar"]) == pytest.approx((6 / 9, (2 / 3 + 4 / 6) / 2))
    assert 0 <= scores["task_roc_auc"] <= 1
    rows = [table[table.emotion != "angry"] for table in (ALL_CORRECT, HALF)]
    for positive, negative in ((["surprised"], ["sad"]), (["happy"], ["angry"]), (["angry"], ["happy"])):
        scores = summarize(*rows, settings=task(positive, negative))
        assert [name for name in scores if name.startswith("task")] == []


def test_metrics_are_finite_json_numbers() -> None:
    """Metrics that are not defined, here of one clip of unknown sex, are omitted, as JSON has no NaN."""
    scores = summary.summarize(with_val(ALL_CORRECT[:1].assign(sex="")), SETTINGS, seed=1)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def numbers(uar: float, **others: float) -> dict[str, dict[str, float]]:
    return {"test": {"uar": uar, "accuracy": 0.1} | others, "val": {"uar": 1 - uar, "accuracy": 0.2}}


def test_leaderboard_is_sorted_by_test_uar() -> None:
    """Ties are in alphabetical order; models not significantly worse than the best are marked."""
    summaries = {"svm": numbers(0.5), "lstm": numbers(0.6, cohen_kappa=0.4), "knn": numbers(0.5, accuracy=0.9)}
    ranking = summary.leaderboard(summaries, not_significantly_worse=["lstm", "svm"])
    assert list(ranking)[:4] == ["rank", "model", "uar", "accuracy"]
    assert set(list(ranking)[4:]) == {"cohen_kappa", "val_uar", "not_significantly_worse", *summary.OPTIONAL_METRICS}
    assert ranking[["rank", "model", "uar", "val_uar", "not_significantly_worse"]].to_numpy().tolist() == [
        [1, "lstm", 0.6, 0.4, True],
        [2, "knn", 0.5, 0.5, False],
        [3, "svm", 0.5, 0.5, True],
    ]
    assert ranking.cohen_kappa.isna().tolist() == [False, True, True]
