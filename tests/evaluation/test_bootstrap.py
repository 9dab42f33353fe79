"""Test the coverage of bootstrap intervals."""

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import bootstrap, metrics
from ser.utils.errors import UserError
from tests.helpers.random_predictions import CLASSES, random_predictions

RECALLS = [f"recall_{name}" for name in CLASSES]


def test_values_are_those_of_compute_metrics() -> None:
    """Metrics from counts equal metrics from rows, also without clips or predictions of a class."""
    table = random_predictions([0.2, 1.0, -0.5])
    without_angry = table[table.emotion != "angry"]
    never_sad = table.assign(predicted=table.predicted.replace("sad", "angry"))
    for rows, names in ((table, RECALLS), (without_angry, RECALLS[:3]), (never_sad, RECALLS)):
        intervals = bootstrap.bootstrap(rows, ["uar", "accuracy", "precision", "f1", *names], seed=1)
        expected = metrics.compute_metrics(rows, classes=CLASSES)
        assert intervals.value.to_dict() == pytest.approx({name: expected[name] for name in intervals.index})
        assert (intervals.ci_low <= intervals.value).all() and (intervals.value <= intervals.ci_high).all()
        assert (intervals.speakers == 3).all() and (intervals.clips == len(rows)).all()


def coverage(speakers: int, *, sd: float, runs: int = 60) -> float:
    rng = np.random.default_rng(speakers)
    truth = np.mean(1 / (1 + np.exp(-(0.6 + sd * rng.standard_normal(100_000)))))
    tables = [random_predictions(0.6 + sd * rng.standard_normal(speakers), seed=run) for run in range(runs)]
    limits = [
        bootstrap.bootstrap(table, ["uar"], resamples=400, seed=run).loc["uar"] for run, table in enumerate(tables)
    ]
    return float(np.mean([row.ci_low <= truth <= row.ci_high for row in limits]))


def test_coverage() -> None:
    """With twelve speakers about 95 % of the intervals contain the true UAR; with two, about half."""
    assert 0.88 <= coverage(12, sd=0.6) <= 0.99
    assert 0.35 <= coverage(2, sd=0.6) <= 0.67  # as the documentation warns


def test_correlated_clips_widen_the_interval() -> None:
    """If speakers are always or never correct, the interval is that of six speakers, not of 240 clips."""
    limits = bootstrap.bootstrap(random_predictions([50, 50, 50, -50, -50, -50]), ["uar"], seed=1).loc["uar"]
    assert limits.value == 0.5
    assert limits.ci_high - limits.ci_low > 0.6  # over clips, it would be 0.13


@pytest.mark.parametrize(("speakers", "tail"), [(5, 0.00095), (10_000, 0.025)])  # 5: beyond 2.776 x sqrt(5 / 4)
def test_few_speakers_have_wider_intervals(speakers: int, tail: float) -> None:
    """The interval of a mean has the width of its t interval."""
    limits = bootstrap.expanded_percentiles(np.linspace(0, 1, 1001), speakers=speakers, level=0.95)
    assert limits == pytest.approx((tail, 1 - tail), abs=2e-5)


@pytest.mark.parametrize(("speakers", "unknown", "known"), [(1, False, 1), (8, True, 7)])
def test_one_or_unknown_speakers_have_no_interval(speakers: int, unknown: bool, known: int) -> None:
    """With one speaker, or with clips of unknown speakers, there is a value, and limits are NaN."""
    table = random_predictions([2] * speakers)
    table = table.assign(speaker=table.speaker.replace("ravdess-00", "ravdess-")) if unknown else table
    limits = bootstrap.bootstrap(table, ["uar", "accuracy"], resamples=100, seed=1)
    assert limits[["ci_low", "ci_high"]].isna().all(axis=None)
    assert limits.value.notna().all()
    assert limits.speakers.to_list() == [known] * 2


def test_draws_without_a_class_are_scored_on_the_others() -> None:
    """If only one of two speakers has sad clips, draws without her have a UAR over the other classes."""
    table = random_predictions([50, -50])
    table = table[(table.emotion != "sad") | (table.speaker == "ravdess-00")]
    limits = bootstrap.bootstrap(table, ["uar", "recall_sad"], seed=1)
    assert limits.loc["uar", ["ci_low", "ci_high"]].to_list() == [0, 1]
    assert limits.loc["recall_sad", ["ci_low", "ci_high"]].to_list() == [1, 1]


def test_intervals_depend_on_the_seed_and_not_on_the_order_of_rows() -> None:
    """The same seed gives the same limits, another seed others."""
    table = random_predictions([0.2, 1.0, -0.5, 0.7, 0.1, 1.5])
    first = bootstrap.bootstrap(table, ["uar", "f1"], seed=1)
    pd.testing.assert_frame_equal(first, bootstrap.bootstrap(table[::-1], ["uar", "f1"], seed=1))
    assert not first.equals(bootstrap.bootstrap(table, ["uar", "f1"], seed=2))


def test_invalid_input_is_rejected() -> None:
    """Metrics without interval, and repeated clips, are errors."""
    with pytest.raises(UserError, match=r"roc_auc .* uar"):
        bootstrap.bootstrap(random_predictions([0, 1]), ["roc_auc"], seed=1)
    with pytest.raises(UserError, match="twice for seed 1"):
        bootstrap.bootstrap(pd.concat([random_predictions([0, 1])] * 2), ["uar"], seed=1)
