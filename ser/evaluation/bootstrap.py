"""Compute confidence intervals of metrics by a cluster bootstrap over speakers.

A table holds the rows of one split of one model, with one or several folds and seeds. Clips of one speaker are
correlated, so speakers are resampled, not clips.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ser.dataset.clip_metadata import is_unknown_speaker, n_known_speakers
from ser.predictions.table import classes_of
from ser.utils import seeding
from ser.utils.errors import UserError

Array = npt.NDArray[np.floating[Any]]

RESAMPLES = 2000
LEVEL = 0.95
MIN_SPEAKERS = 6
"""With fewer speakers, limits are a range and not a confidence interval, and no difference is significant."""


class Scores(NamedTuple):
    """A metric of all clips, the metric of each bootstrap draw, (resamples,), and the number of speakers resampled."""

    value: float
    draws: Array
    speakers: int


def bootstrap(table: pd.DataFrame, metrics: Sequence[str], *, resamples: int = RESAMPLES, seed: int) -> pd.DataFrame:
    """Compute 95 % confidence intervals of metrics by a cluster bootstrap over speakers.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split.
    metrics : sequence of str
        Any of uar, accuracy, precision, f1 (macro) and recall_<emotion>; see `ser.evaluation.metrics.compute_metrics`.
    resamples : int
        Number of bootstrap draws.
    seed : int
        Seed of the draws. Tables of the same speakers get the same draws.

    Returns
    -------
    DataFrame
        One row per metric (index) with value, ci_low, ci_high, speakers (known ones) and clips. The limits are NaN with
        one speaker, or if some are unknown.

    Raises
    ------
    UserError
        If a metric is unknown or a clip occurs twice for one seed.

    Notes
    -----
    The limits are expanded percentiles of the draws. Averages over classes exclude classes without clips, and draws
    without a class are excluded from the interval of its recall. With fewer than `MIN_SPEAKERS` speakers the coverage
    is below `LEVEL`; docs/evaluation.md has simulations.

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
        low, high = expanded_percentiles(scores.draws, speakers=scores.speakers, level=LEVEL)
        rows.append({"value": scores.value, "ci_low": low, "ci_high": high} | sizes)
    return pd.DataFrame(rows, index=pd.Index(metrics, name="metric"))


def bootstrap_scores(table: pd.DataFrame, metrics: Sequence[str], *, resamples: int, seed: int) -> list[Scores]:
    """Compute metrics of all clips and of each bootstrap draw of speakers; see `bootstrap`."""
    counts = _counts(table)
    drawn = _draw(counts, resamples=resamples, seed=seed)
    classes = classes_of(table)
    # clips of unknown speakers may be of one speaker or of several, so nothing can be resampled
    speakers = 0 if is_unknown_speaker(table).any() else n_known_speakers(table)
    scores = [[_mean(_score(metric, c, classes=classes)) for c in (counts.sum(axis=1), drawn)] for metric in metrics]
    return [Scores(float(value), draws, speakers) for value, draws in scores]


def _counts(table: pd.DataFrame) -> Array:
    """Count predictions: (seeds, speakers, classes, predicted classes), sorted, whatever the order of the rows."""
    repeated = table[table.duplicated(["clip_id", "seed"])]
    if len(repeated):
        raise UserError(
            f"predictions: {repeated.clip_id.iloc[0]} occurs twice for seed {repeated.seed.iloc[0]}, expected one row "
            "per clip and seed; pass the rows of one split."
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
    draws : ndarray of shape (resamples,)
        NaN values are ignored.
    speakers : int
        Number of speakers resampled.
    level : float
        Confidence level.

    Returns
    -------
    low, high : float
        NaN with fewer than two speakers.

    References
    ----------
    Hesterberg (2015), What teachers should know about the bootstrap.
    """
    values = draws[~np.isnan(draws)]
    if speakers < 2 or not len(values):
        return float("nan"), float("nan")
    # the tail probability that gives the interval of a mean the width of its t interval
    tail = stats.norm.sf(stats.t.ppf((1 + level) / 2, speakers - 1) * np.sqrt(speakers / (speakers - 1)))
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _score(metric: str, counts: Array, *, classes: Sequence[str]) -> Array:
    """Compute a metric of many confusion matrices: (..., classes, predicted classes) -> (...)."""
    hits, n_true, n_predicted = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)
    recalls = [f"recall_{name}" for name in classes]
    if metric == "uar":
        return _mean(_divide(hits, n_true))
    if metric in recalls:
        return _divide(hits, n_true)[..., recalls.index(metric)]
    if metric == "accuracy":
        return _divide(hits.sum(axis=-1), counts.sum(axis=(-2, -1)))
    if metric == "precision":
        by_class = _divide(hits, n_predicted)
    elif metric == "f1":
        by_class = _divide(2 * hits, n_predicted + n_true)
    else:
        known = ", ".join(["uar", "accuracy", "precision", "f1", *recalls])
        raise UserError(f"metric {metric} has no confidence interval; expected one of {known}.")
    # over the classes that occur; a class that is never predicted scores 0, as in `compute_metrics`
    return _mean(np.where(n_true > 0, np.nan_to_num(by_class), np.nan))


def _divide(numerator: Array, denominator: Array) -> Array:
    """Divide; 0 / 0 is NaN."""
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0)


def _mean(values: Array) -> Array:
    """Average along the last axis, ignoring NaN; without values the mean is NaN."""
    return _divide(np.nansum(values, axis=-1), (~np.isnan(values)).sum(axis=-1))
