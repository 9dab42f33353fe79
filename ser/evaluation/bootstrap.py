"""Confidence intervals of metrics by a bootstrap over speakers, and means over seeds.

Prediction tables in, intervals out. Conventions: a table holds the rows of one split (such as test) of one model; folds
may be pooled, as each clip is tested once, and several seeds may be in one table. Clips of one speaker are alike, so an
interval over clips would be far too narrow, and there is none here. With one speaker, or where speakers are unknown,
limits are NaN, and the caller says why. A number of several seeds is its mean over them, never its best.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ser.dataset.clip_metadata import is_unknown_speaker, n_known_speakers
from ser.evaluation.metrics import compute_metrics
from ser.predictions.table import classes_of
from ser.utils import seeding
from ser.utils.errors import UserError

Array = npt.NDArray[np.floating[Any]]

RESAMPLES = 2000
LEVEL = 0.95
MIN_SPEAKERS = 6
"""Speakers. Over fewer, limits are a range and no interval, and no difference is shown: see `bootstrap`."""
METRICS = ("uar", "accuracy", "precision", "f1", "roc_auc")


class Scores(NamedTuple):
    """A metric of all clips, the same of each bootstrap draw, (resamples,), and how many speakers were drawn from."""

    value: float
    draws: Array
    speakers: int


def bootstrap(
    table: pd.DataFrame, metrics: Sequence[str], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int
) -> pd.DataFrame:
    """Compute confidence intervals of metrics by a cluster bootstrap over speakers.

    Speakers are drawn with replacement, each with all their clips, and the metric is computed anew from each draw. The
    limits are expanded percentiles of these draws.

    Parameters
    ----------
    table
        A prediction table of one split.
    metrics
        Of uar, accuracy, precision, f1 (macro) and recall_<emotion>, defined by
        `ser.evaluation.metrics.compute_metrics`.
    resamples
        How many draws.
    level
        Share of such intervals that should hold the true number.
    seed
        The run's. Tables of the same speakers get the same draws.

    Returns
    -------
    DataFrame
        A row a metric (index) with value, ci_low, ci_high, speakers (known ones) and clips. The limits are NaN with one
        speaker, and where some are unknown.

    Raises
    ------
    UserError
        If a metric is unknown or a clip stands twice for one seed.

    Notes
    -----
    Averages over classes are over those that a draw has, and a draw without a class is left out of the interval of its
    recall. With several seeds, the metric of a draw is its mean over seeds. Over fewer than `MIN_SPEAKERS` speakers no
    bootstrap reaches its level, so call the limits a range there; docs/evaluation.md has the simulated coverage.

    References
    ----------
    Bisani & Ney (2004), Bootstrap estimates for confidence intervals in ASR performance evaluation.
    Field & Welsh (2007), Bootstrapping clustered data.
    Davison & Hinkley (1997), Bootstrap methods and their application, section 3.8.
    Hesterberg (2015), What teachers should know about the bootstrap, on expanded percentiles.
    Cameron, Gelbach & Miller (2008), Bootstrap-based improvements for inference with clustered errors.
    """
    sizes = {"speakers": n_known_speakers(table), "clips": table.clip_id.nunique()}
    rows = []
    for scores in bootstrap_scores(table, metrics, resamples=resamples, seed=seed):
        low, high = expanded_percentiles(scores.draws, speakers=scores.speakers, level=level)
        rows.append({"value": scores.value, "ci_low": low, "ci_high": high} | sizes)
    return pd.DataFrame(rows, index=pd.Index(metrics, name="metric"))


def bootstrap_scores(table: pd.DataFrame, metrics: Sequence[str], *, resamples: int, seed: int) -> list[Scores]:
    """Compute metrics of all clips, and of each bootstrap draw of speakers.

    Parameters
    ----------
    table, metrics, resamples, seed
        As for `bootstrap`.

    Raises
    ------
    UserError
        If a metric is unknown or a clip stands twice for one seed.
    """
    counts = _counts(table)
    drawn = _draw(counts, resamples=resamples, seed=seed)
    scores = [_score(metric, classes=classes_of(table)) for metric in metrics]
    speakers = _n_clusters(table)
    return [Scores(float(_mean(score(counts.sum(axis=1)))), _mean(score(drawn)), speakers) for score in scores]


def _n_clusters(table: pd.DataFrame) -> int:
    """Count the speakers that can be drawn: none where some are unknown, as two clips may be of one voice or of two."""
    return 0 if is_unknown_speaker(table).any() else n_known_speakers(table)


def _counts(table: pd.DataFrame) -> Array:
    """Count answers: (seeds, speakers, classes, predicted classes), all in order, whatever the order of the rows."""
    repeated = table[table.duplicated(["clip_id", "seed"])]
    if len(repeated):
        raise UserError(
            f"predictions: {repeated.clip_id.iloc[0]} stands twice for seed {repeated.seed.iloc[0]}; an interval is "
            "over clips judged once a seed: pass the rows of one split."
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
    times = seeding.make_rng(seed, "bootstrap").multinomial(speakers, [1 / speakers] * speakers, size=resamples)
    return np.tensordot(times.astype(np.float64), counts, axes=(1, 1))


def expanded_percentiles(draws: Array, *, speakers: int, level: float) -> tuple[float, float]:
    """Compute the limits of a confidence interval from bootstrap draws.

    Parameters
    ----------
    draws : (resamples,) float
        NaN are left out.
    speakers
        How many were drawn from.
    level
        Share of such intervals that should hold the true number.

    Returns
    -------
    low, high : float
        NaN with fewer than two speakers.

    References
    ----------
    Hesterberg (2015), What teachers should know about the bootstrap.
    """
    numbers = draws[~np.isnan(draws)]
    if speakers < 2 or not len(numbers):
        return float("nan"), float("nan")
    tail = _expanded_percentile(speakers, level=level)
    low, high = np.quantile(numbers, [tail, 1 - tail])
    return float(low), float(high)


def _expanded_percentile(speakers: int, *, level: float) -> float:
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
        "accuracy": lambda counts: _share(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1))),
        "precision": lambda counts: _over_present(counts, _share(_hits(counts), counts.sum(axis=-2))),
        "f1": lambda counts: _over_present(
            counts, _share(2 * _hits(counts), counts.sum(axis=-2) + counts.sum(axis=-1))
        ),
    }
    own = {f"recall_{name}": lambda counts, n=n: _recalls(counts)[..., n] for n, name in enumerate(classes)}
    known = scores | own
    if metric not in known:
        raise UserError(f"metric {metric} has no interval over speakers; known are {', '.join(known)}.")
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


def mean_over_seeds(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Average metrics over seeds.

    Parameters
    ----------
    table
        A prediction table of one split and several seeds.
    metrics
        Of `ser.evaluation.metrics.compute_metrics`.

    Returns
    -------
    DataFrame
        A row a metric (index) with mean, sd (divided by seeds - 1; NaN with one seed) and seeds.

    Raises
    ------
    UserError
        If a metric is unknown.
    """
    classes = classes_of(table)
    unknown = sorted(set(metrics) - {*METRICS, *(f"recall_{name}" for name in classes)})
    if unknown:
        raise UserError(f"metric {', '.join(unknown)} is unknown; known are {', '.join(METRICS)} and recall_<emotion>.")
    judged = pd.DataFrame([compute_metrics(rows, classes=classes) for _, rows in table.groupby("seed")])
    scores = judged.reindex(columns=list(metrics))
    found = pd.DataFrame({"mean": scores.mean(), "sd": scores.std(ddof=1), "seeds": scores.count()})
    return found.rename_axis("metric")
