"""Summarize each model by scores with confidence intervals, and rank the models."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ser.dataset.clip_metadata import is_unknown_speaker, n_known_speakers
from ser.evaluation import binary_tasks, bootstrap, calibration, metrics, subgroups
from ser.params import Evaluate
from ser.predictions.table import classes_of
from ser.predictions.temperature import undo_temperature

METRICS_WITH_CI = ("uar", "accuracy", "f1")
OPTIONAL_METRICS = (
    *(f"{name}_{side}" for name in METRICS_WITH_CI for side in ("ci_low", "ci_high")),
    "uar_seed_sd",
    "uar_fold_sd",
)
"""Metrics that need several speakers, seeds or folds."""
DIGITS = 12
"""Decimal places of metrics; sums in another order differ in the sixteenth digit, and equal models must be equal."""


def select_test_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Select the test rows of a prediction table, without augmented and corrupted clips."""
    return table[(table.split == "test") & (table.augmentation == "")].reset_index(drop=True)


def summarize(table: pd.DataFrame, settings: Evaluate, *, seed: int) -> dict[str, dict[str, float]]:
    """Compute all metrics of one model.

    Parameters
    ----------
    table : DataFrame
        A prediction table with all folds and seeds. Folds are pooled, and seeds averaged.
    settings : Evaluate
        The section `evaluate`.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict
        {split: {metric: number}}: those of `ser.evaluation.metrics.evaluate`, and of `test_summary` for the test split.
        Metrics that are not finite are omitted.
    """
    by_seed = [metrics.evaluate(rows) for _, rows in table.groupby("seed")]
    scores = {
        split: {name: float(np.mean([each[split][name] for each in by_seed])) for name in numbers}
        | {"clips": numbers["clips"]}  # equal for all seeds
        for split, numbers in by_seed[0].items()
    }
    scores["test"] |= test_summary(select_test_rows(table), settings, seed=seed)
    return {
        split: {name: round(value, DIGITS) for name, value in numbers.items() if np.isfinite(value)}
        for split, numbers in scores.items()
    }


def test_summary(rows: pd.DataFrame, settings: Evaluate, *, seed: int) -> dict[str, float]:
    """Compute further metrics of test rows.

    Returns
    -------
    dict
        <metric>_ci_low and _ci_high: 95 % confidence interval over speakers, of `METRICS_WITH_CI` and each recall;
        uar_seed_sd over seeds; uar_fold_mean and _sd over folds; speakers (known ones); cohen_kappa; top2_accuracy;
        ece and ece_uncalibrated: expected calibration error with and without temperature scaling; nll;
        uar_worst_speaker and _best_; uar_sex_gap (female minus male); and <task>_uar, _accuracy and _roc_auc for each
        binary task. NaN if not defined.
    """
    classes = [name for name in classes_of(rows) if (rows.emotion == name).any()]
    names = [*METRICS_WITH_CI, *(f"recall_{name}" for name in classes)]
    intervals = bootstrap.bootstrap(rows, names, resamples=settings.n_resamples, seed=seed)
    seeds, folds = (
        [metrics.uar(group.emotion, group.predicted) for _, group in rows.groupby(column)]
        for column in ("seed", "fold")
    )
    speakers = subgroups.evaluate_by_group(rows[~is_unknown_speaker(rows)], "speaker").uar
    tasks = {
        name: binary_tasks.binary(rows, positive=task.positive, negative=task.negative)
        for name, task in settings.binary_tasks.items()
        if set(task.positive) & set(classes) and set(task.negative) & set(classes)
    }
    return {
        **{f"{name}_{side}": float(intervals.loc[name, side]) for name in names for side in ("ci_low", "ci_high")},
        "uar_seed_sd": float(np.std(seeds, ddof=1)) if len(seeds) > 1 else float("nan"),
        "uar_fold_mean": float(np.mean(folds)),
        "uar_fold_sd": float(np.std(folds, ddof=1)) if len(folds) > 1 else float("nan"),
        "speakers": n_known_speakers(rows),
        "cohen_kappa": metrics.cohen_kappa(rows),
        "top2_accuracy": metrics.top_k_accuracy(rows, 2),
        "ece": calibration.ece(rows),
        "ece_uncalibrated": calibration.ece(undo_temperature(rows)),
        "nll": calibration.nll(rows),
        "uar_worst_speaker": float(speakers.min()),  # NaN if there are none
        "uar_best_speaker": float(speakers.max()),
        "uar_sex_gap": subgroups.uar_sex_gap(rows),
        **{
            f"{name}_{metric}": float(getattr(scores, metric))
            for name, scores in tasks.items()
            for metric in ("uar", "accuracy", "roc_auc")
        },
    }


def leaderboard(
    summaries: Mapping[str, Mapping[str, Mapping[str, float]]], *, not_significantly_worse: list[str]
) -> pd.DataFrame:
    """Rank models by test UAR.

    Parameters
    ----------
    summaries : mapping
        {model: {split: {metric: number}}}; see `summarize`.
    not_significantly_worse : list of str
        Models that are not significantly worse than the best.

    Returns
    -------
    DataFrame
        rank, model, every test metric of any model, val_uar, and not_significantly_worse; ties are in alphabetical
        order.
    """
    rows: list[dict[str, Any]] = [
        {
            "model": model,
            **splits["test"],
            "val_uar": splits["val"]["uar"],
            "not_significantly_worse": model in not_significantly_worse,
        }
        for model, splits in summaries.items()
    ]
    columns = [*dict.fromkeys([*(name for row in rows for name in row), *OPTIONAL_METRICS])]
    table = pd.DataFrame(rows, columns=columns).sort_values(
        ["uar", "model"], ascending=[False, True], ignore_index=True
    )
    table.insert(0, "rank", range(1, len(table) + 1))
    return table
