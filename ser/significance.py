"""How sure a number is, and whether two models differ. Prediction tables in, intervals and p-values out.

Conventions: a table holds the rows of one part (such as test) of one model; folds may be pooled, as each clip is tested
once, and several seeds may be in one table. What varies is the speaker: clips of one speaker are alike, so an interval
over clips would be far too narrow, and there is none here. Where there is one speaker, or somebody is unknown, who
might be anybody, limits are NaN, and the caller says why. A number of several seeds is its mean over them, never its
best.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ser import seeds
from ser.clip_metadata import are_unknown, count_known
from ser.errors import InputError
from ser.metrics import judge
from ser.predictions import classes_of

Array = npt.NDArray[np.floating[Any]]

RESAMPLES = 2000
LEVEL = 0.95
ENOUGH = 6
"""Speakers. Over fewer, limits are a range and no interval, and no difference is shown: see `bootstrap`."""
JUDGED = ("uar", "accuracy", "precision", "recall", "f1", "roc_auc")
COMPARED = ("a", "b", "only_a", "only_b", "p", "p_holm", "difference", "low", "high", "speakers")


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
    low: float
    high: float
    speakers: int


# Intervals over speakers ----------------------------------------------------------------------------------------------


def bootstrap(
    table: pd.DataFrame, metrics: Sequence[str], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int
) -> pd.DataFrame:
    """Find how far metrics would vary with other speakers.

    Speakers are drawn with replacement, each with all their clips, and the metric is computed anew from each draw.
    The limits are expanded percentiles of these draws: percentiles alone are too narrow, as if the standard deviation
    were divided by n and the t distribution were normal; see `_tail`.

    Parameters
    ----------
    table
        A prediction table of one part.
    metrics
        Of uar, accuracy, precision, recall, f1 (macro) and recall_<emotion>, as `ser.metrics.judge` defines them.
    resamples
        How many draws.
    level
        Share of such intervals that should hold the true number.
    seed
        The run's. Tables of the same speakers get the same draws.

    Returns
    -------
    DataFrame
        A row a metric (index) with value, low, high, speakers (known ones) and clips. Low and high are NaN with one
        speaker, and where some are unknown.

    Raises
    ------
    InputError
        If a metric is unknown or a clip stands twice for one seed.

    Notes
    -----
    A draw may lack a class: averages over classes are then over those it has, and draws without the class are left
    out for its recall. With several seeds, the metric of a draw is its mean over seeds: the interval speaks of other
    speakers, not of other seeds. Speakers are drawn from all corpora at once, so the mix of corpora varies too.

    With few speakers no bootstrap can be right, whatever its correction (Cameron et al. found BCa of little help): the
    limits hardly lie beyond the worst and the best speaker, and the centre of a symmetric population lies outside the
    range of n speakers once in 2^(n-1) times. So about 50 % of intervals over 2 speakers hold it, at most 75 % over 3
    and 88 % over 4, and a level of 95 % needs 6. Simulated with 64 clips a speaker (8 classes, speakers' log odds of
    being understood with a standard deviation of 0.6), 0.48, 0.75, 0.87, 0.92, 0.93, 0.94, 0.95 and 0.95 of the
    intervals over 2, 3, 4, 5, 6, 12, 24 and 91 speakers held the true UAR; of plain percentiles, 0.48, 0.75, 0.80,
    0.83, 0.87, 0.91, 0.93 and 0.95. Hence the column speakers: show it beside the interval, and below six call the
    limits a range over speakers rather than a confidence interval.

    References
    ----------
    Bisani & Ney (2004), Bootstrap estimates for confidence intervals in ASR performance evaluation.
    Field & Welsh (2007), Bootstrapping clustered data.
    Davison & Hinkley (1997), Bootstrap methods and their application, section 3.8.
    Hesterberg (2015), What teachers should know about the bootstrap, on expanded percentiles.
    Cameron, Gelbach & Miller (2008), Bootstrap-based improvements for inference with clustered errors.
    """
    counts = _counts(table)
    drawn = _draw(counts, resamples=resamples, seed=seed)
    sizes = {"speakers": count_known(table), "clips": table.clip_id.nunique()}
    rows = []
    for metric in metrics:
        score = _score(metric, classes=classes_of(table))
        value = float(_mean(score(counts.sum(axis=1))))
        low, high = _limits(_mean(score(drawn)), speakers=_drawn_from(table), level=level)
        rows.append({"value": value, "low": low, "high": high} | sizes)
    return pd.DataFrame(rows, index=pd.Index(metrics, name="metric"))


def _drawn_from(table: pd.DataFrame) -> int:
    """Count the speakers that can be drawn: none where some are unknown, as two clips may be of one voice or of two."""
    return 0 if are_unknown(table).any() else count_known(table)


def _counts(table: pd.DataFrame) -> Array:
    """Count answers: (seeds, speakers, classes, predicted classes), all in order, whatever the order of the rows."""
    repeated = table[table.duplicated(["clip_id", "seed"])]
    if len(repeated):
        raise InputError(
            f"predictions: {repeated.clip_id.iloc[0]} stands twice for seed {repeated.seed.iloc[0]}; an interval is "
            "over clips judged once a seed: pass the rows of one part."
        )
    classes = classes_of(table)
    seed, speaker = (pd.factorize(table[column], sort=True)[0] for column in ("seed", "speaker"))
    labels = (pd.Categorical(table[column], categories=classes).codes for column in ("emotion", "predicted"))
    shape = (table.seed.nunique(), table.speaker.nunique(), len(classes), len(classes))
    cells = np.ravel_multi_index((seed, speaker, *labels), shape)
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def _draw(counts: Array, *, resamples: int, seed: int) -> Array:
    """Sum the counts of speakers drawn with replacement: (resamples, seeds, classes, predicted classes)."""
    speakers = counts.shape[1]
    times = seeds.generator(seed, "bootstrap").multinomial(speakers, [1 / speakers] * speakers, size=resamples)
    return np.tensordot(times.astype(np.float64), counts, axes=(1, 1))


def _limits(draws: Array, *, speakers: int, level: float) -> tuple[float, float]:
    """Cut the tails off the draws that are numbers; one speaker, or none, has no interval."""
    numbers = draws[~np.isnan(draws)]
    if speakers < 2 or not len(numbers):
        return float("nan"), float("nan")
    tail = _tail(speakers, level=level)
    low, high = np.quantile(numbers, [tail, 1 - tail])
    return float(low), float(high)


def _tail(speakers: int, *, level: float) -> float:
    """Say what share of draws to cut off at each end, for a mean to get the width of its t interval.

    References
    ----------
    Hesterberg (2015): expanded percentiles.
    """
    t = stats.t.ppf((1 + level) / 2, speakers - 1)
    return float(stats.norm.sf(t * np.sqrt(speakers / (speakers - 1))))


# Metrics of many confusion matrices at once: (..., classes, predicted classes) -> (...) -------------------------------


def _score(metric: str, *, classes: Sequence[str]) -> Callable[[Array], Array]:
    scores: dict[str, Callable[[Array], Array]] = {
        "uar": lambda counts: _mean(_recalls(counts)),
        "recall": lambda counts: _mean(_recalls(counts)),
        "accuracy": lambda counts: _share(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1))),
        "precision": lambda counts: _over_present(counts, _share(_hits(counts), counts.sum(axis=-2))),
        "f1": lambda counts: _over_present(
            counts, _share(2 * _hits(counts), counts.sum(axis=-2) + counts.sum(axis=-1))
        ),
    }
    own = {f"recall_{name}": lambda counts, n=n: _recalls(counts)[..., n] for n, name in enumerate(classes)}
    known = scores | own
    if metric not in known:
        raise InputError(f"metric {metric} has no interval over speakers; known are {', '.join(known)}.")
    return known[metric]


def _hits(counts: Array) -> Array:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _recalls(counts: Array) -> Array:
    return _share(_hits(counts), counts.sum(axis=-1))


def _over_present(counts: Array, scores: Array) -> Array:
    """Average over the classes that occur; one that is never predicted counts as 0 there, as in `judge`."""
    return _mean(np.where(counts.sum(axis=-1) > 0, np.nan_to_num(scores), np.nan))


def _share(part: Array, whole: Array) -> Array:
    """Divide; a share of nothing is NaN."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _mean(values: Array) -> Array:
    """Average the numbers along the last axis; the mean of none is NaN."""
    return _share(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))


# Seeds ----------------------------------------------------------------------------------------------------------------


def over_seeds(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Average metrics over seeds.

    Parameters
    ----------
    table
        A prediction table of one part and several seeds.
    metrics
        Of `ser.metrics.judge`.

    Returns
    -------
    DataFrame
        A row a metric (index) with mean, sd (divided by seeds - 1; NaN with one seed) and seeds.

    Raises
    ------
    InputError
        If a metric is unknown.
    """
    classes = classes_of(table)
    unknown = sorted(set(metrics) - {*JUDGED, *(f"recall_{name}" for name in classes)})
    if unknown:
        raise InputError(f"metric {', '.join(unknown)} is unknown; known are {', '.join(JUDGED)} and recall_<emotion>.")
    judged = pd.DataFrame([judge(rows, classes=classes) for _, rows in table.groupby("seed")])
    scores = judged.reindex(columns=list(metrics))
    found = pd.DataFrame({"mean": scores.mean(), "sd": scores.std(ddof=1), "seeds": scores.count()})
    return found.rename_axis("metric")


# Two models on the same clips -----------------------------------------------------------------------------------------


def mcnemar(a: pd.DataFrame, b: pd.DataFrame) -> McNemar:
    """Test whether two fitted models get equally many clips right.

    Only clips that one got right and the other wrong say something: if the models are equally good, each is as likely
    to be right there, and the counts are binomial. The test takes clips as independent, which those of one speaker
    are not, so p is too small where models differ by speaker; `difference` is the companion that knows speakers.

    Parameters
    ----------
    a, b
        Prediction tables of one part and one seed, of the same clips, in any order.

    Raises
    ------
    InputError
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
        raise InputError(
            f"predictions: {repeated.iloc[0]} stands more than once (seeds {sorted(table.seed.unique().tolist())}); "
            "McNemar's test compares two fitted models: pass the rows of one part and one seed."
        )
    return (table.emotion == table.predicted).set_axis(table.clip_id)


def _check_same_clips(a: pd.DataFrame, b: pd.DataFrame, *, names: tuple[str, str] = ("a", "b")) -> None:
    differing = sorted(_clips(a) ^ _clips(b))
    if differing or set(classes_of(a)) != set(classes_of(b)):
        what = f"{len(differing)} differ, such as {' '.join(differing[0])}" if differing else "the classes differ"
        raise InputError(
            f"predictions of {names[0]} and {names[1]}: models are compared on the same clips and classes; {what}. "
            "Train and judge both on one split."
        )


def _clips(table: pd.DataFrame) -> set[tuple[str, str, str]]:
    return set(zip(*(table[column].to_list() for column in ("clip_id", "speaker", "emotion")), strict=True))


def difference(
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
        Prediction tables of one part, of the same clips.
    metric, resamples, level, seed
        As for `bootstrap`, the notes of which hold here too.

    Returns
    -------
    Difference
        The metric of `a` minus that of `b`; limits are NaN with one speaker, and where some are unknown.

    Raises
    ------
    InputError
        If the tables hold other clips or classes, or the metric is unknown.

    References
    ----------
    Bisani & Ney (2004), Bootstrap estimates for confidence intervals in ASR performance evaluation.
    """
    _check_same_clips(a, b)
    first, second = (_scored(table, metric, resamples=resamples, seed=seed) for table in (a, b))
    return _subtract(first, second, level=level)


class _Scored(NamedTuple):
    value: float
    draws: Array
    speakers: int


def _scored(table: pd.DataFrame, metric: str, *, resamples: int, seed: int) -> _Scored:
    counts = _counts(table)
    score = _score(metric, classes=classes_of(table))
    draws = _mean(score(_draw(counts, resamples=resamples, seed=seed)))
    return _Scored(float(_mean(score(counts.sum(axis=1)))), draws, _drawn_from(table))


def _subtract(a: _Scored, b: _Scored, *, level: float) -> Difference:
    low, high = _limits(a.draws - b.draws, speakers=a.speakers, level=level)
    return Difference(a.value - b.value, low, high, a.speakers)


def swap_test(
    a: pd.DataFrame, b: pd.DataFrame, statistic: Callable[[pd.DataFrame], float], *, draws: int = 199, seed: int
) -> float:
    """Test whether a number is higher for `a` than for `b` by more than chance, whatever number it is.

    If the models are equally good, it does not matter which of the two answered a clip: both answers are swapped for
    clips drawn at random, and p is how often the difference is then at least as large. As in McNemar's test, clips
    are taken as independent.

    Parameters
    ----------
    a, b
        Prediction tables of one part, of the same clips; all seeds of a clip are swapped together.
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
    InputError
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
    generator = seeds.generator(seed, "swap")
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
        {model: prediction table} of one part, of the same clips.
    resamples, level, seed
        As for `bootstrap`.

    Returns
    -------
    DataFrame
        `COMPARED`, a row a pair: clips that only one of them got right, p of McNemar's test and p adjusted for the
        number of pairs by Holm's method, the difference of UAR with its limits at `level` (of each pair alone, not
        adjusted), and speakers. McNemar's test is of two fitted models, so of the first seed that each table holds.

    Raises
    ------
    InputError
        If tables hold other clips or classes.
    """
    scored = _all_scored(tables, resamples=resamples, seed=seed)
    rows = []
    for a, b in combinations(tables, 2):
        test = mcnemar(*(tables[model][tables[model].seed == tables[model].seed.min()] for model in (a, b)))
        counts = {"a": a, "b": b, "only_a": test.only_a, "only_b": test.only_b, "p": test.p}
        rows.append(counts | _subtract(scored[a], scored[b], level=level)._asdict())
    found = pd.DataFrame(rows, columns=[name for name in COMPARED if name != "p_holm"])
    return found.assign(p_holm=holm(found.p))[list(COMPARED)]


def tied_with_best(
    tables: Mapping[str, pd.DataFrame], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int
) -> list[str]:
    """Name the models whose UAR is not shown to be below that of the best.

    A model is left out only if the interval over speakers of the best's UAR minus its own lies above 0. As the best is
    compared with each other model, each interval has the level ``1 - (1 - level) / others`` (Bonferroni). That the
    best was chosen on the same clips is not corrected for. Where there is no interval, all are named.

    Parameters
    ----------
    tables
        {model: prediction table} of one part, of the same clips.
    resamples, level, seed
        As for `bootstrap`.

    Returns
    -------
    list of str
        The best first, then by UAR; equal models in the order of their names.

    Raises
    ------
    InputError
        If tables hold other clips or classes.
    """
    scored = _all_scored(tables, resamples=resamples, seed=seed)
    ranked = sorted(scored, key=lambda model: (-scored[model].value, model))
    best, others = ranked[0], ranked[1:]
    each = 1 - (1 - level) / max(1, len(others))
    return [best, *(model for model in others if not _subtract(scored[best], scored[model], level=each).low > 0)]


def _all_scored(tables: Mapping[str, pd.DataFrame], *, resamples: int, seed: int) -> dict[str, _Scored]:
    first = next(iter(tables))
    for model in tables:
        _check_same_clips(tables[first], tables[model], names=(first, model))
    return {model: _scored(table, "uar", resamples=resamples, seed=seed) for model, table in tables.items()}
