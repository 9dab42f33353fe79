"""Test whether models differ significantly: McNemar's test, paired bootstrap over speakers, permutation test.

A table holds the rows of one split of one model, with one or several folds and seeds.
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ser.evaluation.bootstrap import LEVEL, RESAMPLES, Scores, bootstrap_scores, expanded_percentiles
from ser.predictions.table import classes_of
from ser.utils import seeding
from ser.utils.errors import UserError

Array = npt.NDArray[np.floating[Any]]

PAIR_COLUMNS = ("a", "b", "only_a", "only_b", "p", "p_holm", "difference", "ci_low", "ci_high", "speakers")


class McNemar(NamedTuple):
    """Numbers of clips that only one model classified correctly, and the exact two-sided p-value."""

    only_a: int
    only_b: int
    p: float


class Difference(NamedTuple):
    """A metric of one model minus that of another, its confidence interval, and the number of speakers."""

    difference: float
    ci_low: float
    ci_high: float
    speakers: int


def mcnemar(a: pd.DataFrame, b: pd.DataFrame) -> McNemar:
    """Test whether two fitted models have the same accuracy by McNemar's exact test.

    The test treats clips as independent, so p is too small if models differ by speaker; see `paired_difference`.

    Parameters
    ----------
    a, b : DataFrame
        Prediction tables of one split, of the same clips in any order. Only the first seed of each is used.

    Raises
    ------
    UserError
        If the clips or classes differ.

    References
    ----------
    McNemar (1947); Dietterich (1998), Approximate statistical tests for comparing supervised classification
    learning algorithms: the test does not measure the variation between training runs.
    """
    _check_same_clips(a, b)
    first_a, first_b = (table[table.seed == table.seed.min()].set_index("clip_id") for table in (a, b))
    hits_a, hits_b = (table.emotion == table.predicted for table in (first_a, first_b.loc[first_a.index]))
    only_a, only_b = int((hits_a & ~hits_b).sum()), int((~hits_a & hits_b).sum())
    p = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    return McNemar(only_a, only_b, float(p))


def _check_same_clips(a: pd.DataFrame, b: pd.DataFrame, *, names: tuple[str, str] = ("a", "b")) -> None:
    first, second = (set(zip(t.clip_id, t.speaker, t.emotion, strict=True)) for t in (a, b))
    differing = sorted(first ^ second)
    if differing or set(classes_of(a)) != set(classes_of(b)):
        what = f"{len(differing)} differ, such as {' '.join(differing[0])}" if differing else "the classes differ"
        raise UserError(
            f"predictions of {names[0]} and {names[1]}: expected the same clips and classes, but {what}; train and "
            "evaluate both on one split."
        )


def paired_difference(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    metric: str = "uar",
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int,
) -> Difference:
    """Compute the confidence interval of the difference of two models by a paired bootstrap over speakers.

    Both models use the same draws, so a speaker who is difficult for both does not widen the interval. Metrics are
    averaged over the seeds of each model.

    Parameters
    ----------
    a, b : DataFrame
        Prediction tables of one split, of the same clips.
    metric : str
        UAR by default; see `ser.evaluation.bootstrap.bootstrap`, also for `resamples` and `seed`.
    level : float
        Confidence level.

    Returns
    -------
    Difference
        The metric of `a` minus that of `b`; limits are NaN with one speaker, or if some are unknown.

    Raises
    ------
    UserError
        If the clips or classes differ, or the metric is unknown.

    References
    ----------
    Bisani & Ney (2004), Bootstrap estimates for confidence intervals in ASR performance evaluation.
    """
    _check_same_clips(a, b)
    first, second = (bootstrap_scores(table, [metric], resamples=resamples, seed=seed)[0] for table in (a, b))
    return _subtract(first, second, level=level)


def _subtract(a: Scores, b: Scores, *, level: float) -> Difference:
    low, high = expanded_percentiles(a.draws - b.draws, speakers=a.speakers, level=level)
    return Difference(a.value - b.value, low, high, a.speakers)


def permutation_test(
    a: pd.DataFrame, b: pd.DataFrame, statistic: Callable[[pd.DataFrame], float], *, draws: int = 199, seed: int
) -> float:
    """Test whether a statistic is higher for `a` than for `b` by an approximate randomization test.

    Each draw swaps the predictions of the two models for random clips. As in McNemar's test, clips are treated as
    independent.

    Parameters
    ----------
    a, b : DataFrame
        Prediction tables of one split, of the same clips; all seeds of a clip are swapped together.
    statistic : callable
        Function of a prediction table that returns a number.
    draws : int
        Number of permutations; p is at least 1 / (draws + 1).
    seed : int
        Seed of the permutations.

    Returns
    -------
    float
        The one-sided p-value.

    Raises
    ------
    UserError
        If the clips or classes differ.

    References
    ----------
    Noreen (1989), Computer-intensive methods for testing hypotheses; Yeh (2000), More accurate tests for the
    statistical significance of result differences.
    """
    _check_same_clips(a, b)
    both = pd.concat([a, b], ignore_index=True)
    clip, clips = pd.factorize(both.clip_id, sort=True)
    from_a = np.arange(len(both)) < len(a)
    observed = statistic(a) - statistic(b)
    rng = seeding.make_rng(seed, "swap")
    n_as_large = 0
    for _ in range(draws):
        first = from_a ^ (rng.random(len(clips)) < 0.5)[clip]
        n_as_large += statistic(both[first]) - statistic(both[~first]) >= observed
    return (1 + n_as_large) / (1 + draws)


def holm(p: npt.ArrayLike) -> Array:
    """Adjust p-values for multiple testing by Holm's method.

    Parameters
    ----------
    p : array-like of shape (n_tests,)

    Returns
    -------
    ndarray of shape (n_tests,)
        Adjusted p-values, in the given order.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return adjusted


def compare(tables: Mapping[str, pd.DataFrame], *, resamples: int = RESAMPLES, seed: int) -> pd.DataFrame:
    """Compare all pairs of models by McNemar's test and by the difference of UAR.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        {model: prediction table} of one split, of the same clips.
    resamples, seed
        See `ser.evaluation.bootstrap.bootstrap`.

    Returns
    -------
    DataFrame
        `PAIR_COLUMNS`, one row per pair: clips that only one model classified correctly, p of McNemar's test (of the
        first seed of each table), p adjusted by Holm's method, the difference of UAR with its interval at `LEVEL` (not
        adjusted for the number of pairs), and speakers.

    Raises
    ------
    UserError
        If the clips or classes differ.
    """
    scores = _uar_scores(tables, resamples=resamples, seed=seed)
    rows = []
    for a, b in combinations(tables, 2):
        test = mcnemar(tables[a], tables[b])._asdict()
        rows.append({"a": a, "b": b} | test | _subtract(scores[a], scores[b], level=LEVEL)._asdict())
    pairs = pd.DataFrame(rows, columns=[name for name in PAIR_COLUMNS if name != "p_holm"])
    return pairs.assign(p_holm=holm(pairs.p))[list(PAIR_COLUMNS)]


def not_significantly_worse(tables: Mapping[str, pd.DataFrame], *, resamples: int = RESAMPLES, seed: int) -> list[str]:
    """List the models whose UAR is not significantly lower than that of the best.

    A model is excluded if the confidence interval of the best UAR minus its UAR is above 0. The level of each interval
    is ``1 - (1 - LEVEL) / n_others`` (Bonferroni). The selection of the best on the same clips is not corrected for.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        {model: prediction table} of one split, of the same clips.
    resamples, seed
        See `ser.evaluation.bootstrap.bootstrap`.

    Returns
    -------
    list of str
        By UAR, the best first; ties are in alphabetical order. All models if there are no intervals.

    Raises
    ------
    UserError
        If the clips or classes differ.
    """
    scores = _uar_scores(tables, resamples=resamples, seed=seed)
    ranked = sorted(scores, key=lambda model: (-scores[model].value, model))
    best, others = ranked[0], ranked[1:]
    adjusted = 1 - (1 - LEVEL) / max(1, len(others))
    return [best, *(m for m in others if not _subtract(scores[best], scores[m], level=adjusted).ci_low > 0)]


def _uar_scores(tables: Mapping[str, pd.DataFrame], *, resamples: int, seed: int) -> dict[str, Scores]:
    first = next(iter(tables))
    for model in tables:
        _check_same_clips(tables[first], tables[model], names=(first, model))
    return {
        model: bootstrap_scores(table, ["uar"], resamples=resamples, seed=seed)[0] for model, table in tables.items()
    }
