"""Test whether models differ: McNemar's test, paired bootstrap over speakers, permutation test.

Prediction tables in, p-values and intervals out. Conventions: a table holds the rows of one split (such as test) of one
model; folds may be pooled, as each clip is tested once, and several seeds may be in one table.
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
    """Clips that both models, one of them, or neither got right, and the exact two-sided p."""

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float


class Difference(NamedTuple):
    """A metric of one model minus that of another, the limits of its interval, and over how many speakers it is."""

    difference: float
    ci_low: float
    ci_high: float
    speakers: int


# Two models on the same clips -----------------------------------------------------------------------------------------


def mcnemar(a: pd.DataFrame, b: pd.DataFrame) -> McNemar:
    """Test whether two fitted models get equally many clips right.

    Only clips that one got right and the other wrong say something: if the models are equally good, each is as likely
    to be right there, and the counts are binomial. The test takes clips as independent, which those of one speaker
    are not, so p is too small where models differ by speaker; `paired_difference` is the companion that knows speakers.

    Parameters
    ----------
    a, b
        Prediction tables of one split and one seed, of the same clips, in any order.

    Raises
    ------
    UserError
        If a clip stands twice, as with several seeds, or the tables hold other clips or classes.

    References
    ----------
    McNemar (1947); Dietterich (1998), Approximate statistical tests for comparing supervised classification
    learning algorithms, who warns that the test does not see how models vary with training.
    """
    _check_same_clips(a, b)
    right_a, right_b = _right(a), _right(b)
    right_b = right_b[right_a.index]
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    p = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    return McNemar(int((right_a & right_b).sum()), only_a, only_b, int((~right_a & ~right_b).sum()), float(p))


def _right(table: pd.DataFrame) -> "pd.Series[bool]":
    repeated = table.clip_id[table.clip_id.duplicated()]
    if len(repeated):
        raise UserError(
            f"predictions: {repeated.iloc[0]} stands more than once (seeds {sorted(table.seed.unique().tolist())}); "
            "McNemar's test compares two fitted models: pass the rows of one split and one seed."
        )
    return (table.emotion == table.predicted).set_axis(table.clip_id)


def _check_same_clips(a: pd.DataFrame, b: pd.DataFrame, *, names: tuple[str, str] = ("a", "b")) -> None:
    differing = sorted(_clips(a) ^ _clips(b))
    if differing or set(classes_of(a)) != set(classes_of(b)):
        what = f"{len(differing)} differ, such as {' '.join(differing[0])}" if differing else "the classes differ"
        raise UserError(
            f"predictions of {names[0]} and {names[1]}: models are compared on the same clips and classes; {what}. "
            "Train and judge both on one split."
        )


def _clips(table: pd.DataFrame) -> set[tuple[str, str, str]]:
    return set(zip(*(table[column].to_list() for column in ("clip_id", "speaker", "emotion")), strict=True))


def paired_difference(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    metric: str = "uar",
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int,
) -> Difference:
    """Find how far the difference of two models would vary with other speakers.

    Both are judged on the same draws of speakers, so a speaker who is hard for both does not widen the interval.
    Seeds are averaged within each model; the two need not have the same ones.

    Parameters
    ----------
    a, b
        Prediction tables of one split, of the same clips.
    metric, resamples, level, seed
        As for `ser.evaluation.bootstrap.bootstrap`, the notes of which hold here too.

    Returns
    -------
    Difference
        The metric of `a` minus that of `b`; limits are NaN with one speaker, and where some are unknown.

    Raises
    ------
    UserError
        If the tables hold other clips or classes, or the metric is unknown.

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
    """Test whether a number is higher for `a` than for `b` by more than chance, whatever number it is.

    If the models are equally good, it does not matter which of the two answered a clip: both answers are swapped for
    clips drawn at random, and p is how often the difference is then at least as large. As in McNemar's test, clips
    are taken as independent.

    Parameters
    ----------
    a, b
        Prediction tables of one split, of the same clips; all seeds of a clip are swapped together.
    statistic
        From a prediction table to a number.
    draws
        How often answers are swapped; p is never below 1 / (draws + 1).
    seed
        The run's.

    Returns
    -------
    float
        The one-sided p.

    Raises
    ------
    UserError
        If the tables hold other clips or classes.

    References
    ----------
    Noreen (1989), Computer-intensive methods for testing hypotheses; Yeh (2000), More accurate tests for the
    statistical significance of result differences.
    """
    _check_same_clips(a, b)
    both = pd.concat([a, b], ignore_index=True)
    clip, clips = pd.factorize(both.clip_id, sort=True)
    of_a = np.arange(len(both)) < len(a)
    observed = statistic(a) - statistic(b)
    generator = seeding.make_rng(seed, "swap")
    as_large = 0
    for _ in range(draws):
        first = of_a ^ (generator.random(len(clips)) < 0.5)[clip]
        as_large += statistic(both[first]) - statistic(both[~first]) >= observed
    return (1 + as_large) / (1 + draws)


# Many models on the same clips ----------------------------------------------------------------------------------------


def holm(p: npt.ArrayLike) -> Array:
    """Adjust p-values for their number, such that one of them below 0.05 by chance is as rare as 0.05.

    Parameters
    ----------
    p : (tests,) float

    Returns
    -------
    ndarray
        (tests,) float: the p-values to compare with the level, in the given order.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return adjusted


def compare(
    tables: Mapping[str, pd.DataFrame], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int
) -> pd.DataFrame:
    """Compare each two models, by clips (McNemar) and by speakers (difference of UAR).

    Parameters
    ----------
    tables
        {model: prediction table} of one split, of the same clips.
    resamples, level, seed
        As for `ser.evaluation.bootstrap.bootstrap`.

    Returns
    -------
    DataFrame
        `PAIR_COLUMNS`, a row a pair: clips that only one of them got right, p of McNemar's test and p adjusted for the
        number of pairs by Holm's method, the difference of UAR with its limits at `level` (of each pair alone, not
        adjusted), and speakers. McNemar's test is of two fitted models, so of the first seed that each table holds.

    Raises
    ------
    UserError
        If tables hold other clips or classes.
    """
    scored = _all_scored(tables, resamples=resamples, seed=seed)
    rows = []
    for a, b in combinations(tables, 2):
        test = mcnemar(*(tables[model][tables[model].seed == tables[model].seed.min()] for model in (a, b)))
        counts = {"a": a, "b": b, "only_a": test.only_a, "only_b": test.only_b, "p": test.p}
        rows.append(counts | _subtract(scored[a], scored[b], level=level)._asdict())
    found = pd.DataFrame(rows, columns=[name for name in PAIR_COLUMNS if name != "p_holm"])
    return found.assign(p_holm=holm(found.p))[list(PAIR_COLUMNS)]


def not_significantly_worse(
    tables: Mapping[str, pd.DataFrame], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int
) -> list[str]:
    """Name the models whose UAR is not shown to be below that of the best.

    A model is left out only if the interval over speakers of the best's UAR minus its own lies above 0. As the best is
    compared with each other model, each interval has the level ``1 - (1 - level) / others`` (Bonferroni). That the
    best was chosen on the same clips is not corrected for. Where there is no interval, all are named.

    Parameters
    ----------
    tables
        {model: prediction table} of one split, of the same clips.
    resamples, level, seed
        As for `ser.evaluation.bootstrap.bootstrap`.

    Returns
    -------
    list of str
        The best first, then by UAR; equal models in the order of their names.

    Raises
    ------
    UserError
        If tables hold other clips or classes.
    """
    scored = _all_scored(tables, resamples=resamples, seed=seed)
    ranked = sorted(scored, key=lambda model: (-scored[model].value, model))
    best, others = ranked[0], ranked[1:]
    each = 1 - (1 - level) / max(1, len(others))
    return [best, *(model for model in others if not _subtract(scored[best], scored[model], level=each).ci_low > 0)]


def _all_scored(tables: Mapping[str, pd.DataFrame], *, resamples: int, seed: int) -> dict[str, Scores]:
    first = next(iter(tables))
    for model in tables:
        _check_same_clips(tables[first], tables[model], names=(first, model))
    return {
        model: bootstrap_scores(table, ["uar"], resamples=resamples, seed=seed)[0] for model, table in tables.items()
    }
