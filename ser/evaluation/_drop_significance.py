"""Test whether the drop of a metric between two results is statistically significant."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from ser.evaluation import bootstrap, significance
from ser.params import Check, Evaluate

Numbers: TypeAlias = Mapping[str, float]
"""Metric -> its value, of the test split."""


class ModelPair(NamedTuple):
    """A model before and after: its metrics, and its test rows where both sides have them."""

    model: str
    before: Numbers
    after: Numbers
    rows: tuple[pd.DataFrame, pd.DataFrame] | None


class TestResult(NamedTuple):
    """Whether a drop is significant; confidence limits of the change and p, NaN where there are none."""

    significant: bool = False
    ci_low: float = np.nan
    ci_high: float = np.nan
    p: float = np.nan


class TestSettings(NamedTuple):
    """The limits, the significance level for one model, and the settings and seed of the bootstrap."""

    limits: Check
    alpha: float
    evaluate: Evaluate
    seed: int


def test_drop(pair: ModelPair, metric: str, settings: TestSettings, *, alpha: float) -> TestResult:
    """Test whether uar, or the recall of an emotion, dropped.

    With predictions of both sides, a drop is significant by the paired bootstrap over speakers or by McNemar's test;
    without, by the intervals of the two numbers.
    """
    if pair.rows is None:
        return _compare_intervals(pair, metric)
    old, new = pair.rows
    of_class = metric.removeprefix("recall_") if metric.startswith("recall_") else None
    found = significance.paired_difference(
        new, old, metric=metric, resamples=settings.evaluate.n_resamples, level=1 - alpha, seed=settings.seed
    )
    test = significance.mcnemar(*(_one_seed(table, of_class) for table in (old, new)))
    by_speakers = found.speakers >= bootstrap.MIN_SPEAKERS and found.ci_high < 0
    by_clips = test.p < alpha and test.only_a > test.only_b
    return TestResult(by_speakers or by_clips, found.ci_low, found.ci_high, test.p)


def swap_test_p(pair: ModelPair, statistic: Callable[[pd.DataFrame], float], settings: TestSettings) -> float:
    """Compute p of a statistic being higher afterwards, by swapping answers; NaN without predictions."""
    if pair.rows is None:
        return float("nan")
    old, new = pair.rows
    draws = max(199, round(2 / settings.alpha))  # fewer could not go below alpha
    return significance.permutation_test(new, old, statistic, draws=draws, seed=settings.seed)


def _one_seed(table: pd.DataFrame, emotion: str | None) -> pd.DataFrame:
    """Select what McNemar's test compares: two fitted models, on all clips or on those of an emotion."""
    rows = table[table.seed == table.seed.min()]
    return rows if emotion is None else rows[rows.emotion == emotion]


def _compare_intervals(pair: ModelPair, metric: str) -> TestResult:
    """Compare two numbers by their intervals as if they were of other clips, for want of the predictions.

    References
    ----------
    Zou & Donner (2008), Construction of confidence limits about effect measures: the limits of a difference are the
    difference, and beside it the roots of the sums of squares of the distances to the limits.
    """
    ends = [
        numbers.get(f"{metric}_{side}", np.nan)
        for numbers in (pair.before, pair.after)
        for side in ("ci_low", "ci_high")
    ]
    few = min(numbers.get("speakers", 0) for numbers in (pair.before, pair.after)) < bootstrap.MIN_SPEAKERS
    if few or not np.isfinite(ends).all():
        return TestResult()
    change = pair.after[metric] - pair.before[metric]
    low = change - np.hypot(pair.after[metric] - ends[2], ends[1] - pair.before[metric])
    high = change + np.hypot(ends[3] - pair.after[metric], pair.before[metric] - ends[0])
    return TestResult(bool(high < 0), float(low), float(high))
