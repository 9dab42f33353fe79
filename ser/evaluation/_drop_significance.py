"""Test whether the drop of a metric between two results is statistically significant."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from ser.evaluation import bootstrap, significance
from ser.params import Check, Evaluate

Numbers: TypeAlias = Mapping[str, float]
"""Metric -> value, of the test split."""


class ModelPair(NamedTuple):
    """Metrics of a model before and after, and its test rows (None unless both sides have predictions)."""

    model: str
    before: Numbers
    after: Numbers
    rows: tuple[pd.DataFrame, pd.DataFrame] | None


class TestResult(NamedTuple):
    """Significance of a drop, confidence interval of the change, and p-value; NaN where not available."""

    significant: bool = False
    ci_low: float = np.nan
    ci_high: float = np.nan
    p: float = np.nan


class TestSettings(NamedTuple):
    """Limits, significance level per model and test, and settings and seed of the bootstrap."""

    limits: Check
    alpha: float
    evaluate: Evaluate
    seed: int


def test_drop(pair: ModelPair, metric: str, settings: TestSettings, *, alpha: float) -> TestResult:
    """Test whether UAR, or the recall of an emotion, dropped significantly.

    With predictions of both sides, a drop is significant by the paired bootstrap over speakers or by McNemar's test;
    without, by the confidence intervals of the two values.
    """
    if pair.rows is None:
        return _compare_intervals(pair, metric)
    old, new = pair.rows
    difference = significance.paired_difference(
        new, old, metric=metric, resamples=settings.evaluate.n_resamples, level=1 - alpha, seed=settings.seed
    )
    if metric.startswith("recall_"):
        old, new = (rows[rows.emotion == metric.removeprefix("recall_")] for rows in (old, new))
    test = significance.mcnemar(old, new)
    by_speakers = difference.speakers >= bootstrap.MIN_SPEAKERS and difference.ci_high < 0
    by_clips = test.p < alpha and test.only_a > test.only_b
    return TestResult(by_speakers or by_clips, difference.ci_low, difference.ci_high, test.p)


def permutation_p(pair: ModelPair, statistic: Callable[[pd.DataFrame], float], settings: TestSettings) -> float:
    """Compute the p-value of an increase of a statistic by a permutation test; NaN without predictions."""
    if pair.rows is None:
        return float("nan")
    old, new = pair.rows
    draws = max(199, round(2 / settings.alpha))  # fewer draws could not reach a p-value below alpha
    return significance.permutation_test(new, old, statistic, draws=draws, seed=settings.seed)


def _compare_intervals(pair: ModelPair, metric: str) -> TestResult:
    """Compute the confidence interval of a change from the intervals of two independent estimates.

    References
    ----------
    Zou & Donner (2008), Construction of confidence limits about effect measures.
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
