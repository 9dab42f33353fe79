"""What is said of each model first: scores with intervals, how they vary, and which models are not told apart.

Prediction tables in, tables of numbers out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ser.dataset.clip_metadata import is_unknown_speaker, n_known_speakers
from ser.evaluation import binary_tasks, bootstrap, calibration, metrics, subgroups
from ser.params import BinaryTask, Evaluate
from ser.predictions.table import classes_of
from ser.predictions.temperature import undo_temperature

METRICS_WITH_CI = ("uar", "accuracy", "f1")
OPTIONAL_METRICS = (
    *(f"{name}_{side}" for name in METRICS_WITH_CI for side in ("ci_low", "ci_high")),
    "uar_seed_sd",
    "uar_fold_sd",
)
"""Numbers that do not exist for every run: over one speaker, one seed, one fold."""
DIGITS = 12
"""That numbers are rounded to: sums in another order differ in the sixteenth, and equal models are to be equal."""


def select_test_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Select the rows that a score is about: test clips, without altered copies."""
    return table[(table.split == "test") & (table.augmentation == "")].reset_index(drop=True)


def summarize(table: pd.DataFrame, settings: Evaluate, *, seed: int) -> dict[str, dict[str, float]]:
    """Judge one model.

    Parameters
    ----------
    table
        Its prediction table, folds pooled; several seeds are averaged.
    settings
        The section `evaluate`.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        {split: {metric: number}}: those of `ser.evaluation.metrics.evaluate`, and for the test split also
        `test_summary`. Numbers that do not exist, such as an interval over one speaker, are left out.
    """
    judged = _over_seeds(table)
    more = test_summary(select_test_rows(table), settings, seed=seed)
    found = {split: numbers | (more if split == "test" else {}) for split, numbers in judged.items()}
    return {
        split: {name: round(value, DIGITS) for name, value in numbers.items() if np.isfinite(value)}
        for split, numbers in found.items()
    }


def _over_seeds(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Average the metrics of the seeds; clips are counted once, as every seed judges the same."""
    each = [metrics.evaluate(rows) for _, rows in table.groupby("seed")]
    return {
        split: {name: float(np.mean([one[split][name] for one in each])) for name in numbers}
        | {"clips": numbers["clips"]}
        for split, numbers in each[0].items()
    }


def test_summary(rows: pd.DataFrame, settings: Evaluate, *, seed: int) -> dict[str, float]:
    """Compute what stands beside the metrics of the test rows.

    Returns
    -------
    dict
        <metric>_ci_low and _ci_high: limits of 95 % intervals over speakers, of `METRICS_WITH_CI` and each recall;
        uar_seed_sd over seeds; uar_fold_mean and _sd over folds; speakers (known ones); cohen_kappa; top2_accuracy;
        ece and ece_uncalibrated: calibration error with and without temperature; nll; uar_worst_speaker and _best_;
        uar_sex_gap (women minus men); and for each binary task <task>_uar, _accuracy and _roc_auc. NaN where there is
        no number.
    """
    intervals = _intervals(rows, settings, seed=seed)
    return {
        **intervals,
        **_spread(rows),
        "speakers": n_known_speakers(rows),
        "cohen_kappa": metrics.cohen_kappa(rows),
        "top2_accuracy": metrics.top_k_accuracy(rows, 2),
        "ece": calibration.ece(rows),
        "ece_uncalibrated": calibration.ece(undo_temperature(rows)),
        "nll": calibration.nll(rows),
        **_worst_and_best(rows),
        "uar_sex_gap": subgroups.uar_sex_gap(rows),
        **_binary_tasks(rows, settings.binary_tasks),
    }


def _intervals(rows: pd.DataFrame, settings: Evaluate, *, seed: int) -> dict[str, float]:
    present = [f"recall_{name}" for name in _occurring(rows)]
    found = bootstrap.bootstrap(rows, [*METRICS_WITH_CI, *present], resamples=settings.n_resamples, seed=seed)
    return {
        f"{metric}_{side}": float(found.loc[metric, side]) for metric in found.index for side in ("ci_low", "ci_high")
    }


def _occurring(rows: pd.DataFrame) -> list[str]:
    return [name for name in classes_of(rows) if (rows.emotion == name).any()]


def _spread(rows: pd.DataFrame) -> dict[str, float]:
    """Say how UAR varies over seeds and over folds; with one of either there is no deviation."""
    folds = [metrics.uar(fold.emotion, fold.predicted) for _, fold in rows.groupby("fold")]
    return {
        "uar_seed_sd": float(bootstrap.mean_over_seeds(rows, ["uar"]).loc["uar", "sd"]),
        "uar_fold_mean": float(np.mean(folds)),
        "uar_fold_sd": float(np.std(folds, ddof=1)) if len(folds) > 1 else float("nan"),
    }


def _worst_and_best(rows: pd.DataFrame) -> dict[str, float]:
    """Judge the speakers who are understood worst and best, of those who are known."""
    known = rows[~is_unknown_speaker(rows)]
    found = subgroups.best_and_worst_group(known) if len(known) else None
    numbers = (found.worst_uar, found.best_uar) if found else (float("nan"), float("nan"))
    return dict(zip(("uar_worst_speaker", "uar_best_speaker"), numbers, strict=True))


def applicable_tasks(tasks: Mapping[str, BinaryTask], classes: list[str]) -> dict[str, BinaryTask]:
    """Select the tasks both sides of which have one of some classes."""
    return {
        name: task
        for name, task in tasks.items()
        if set(task.positive) & set(classes) and set(task.negative) & set(classes)
    }


def _binary_tasks(rows: pd.DataFrame, tasks: Mapping[str, BinaryTask]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, task in applicable_tasks(tasks, _occurring(rows)).items():
        found = binary_tasks.binary(rows, positive=task.positive, negative=task.negative)
        numbers |= {f"{name}_{metric}": float(getattr(found, metric)) for metric in ("uar", "accuracy", "roc_auc")}
    return numbers


def leaderboard(
    judged: Mapping[str, Mapping[str, Mapping[str, float]]], *, not_significantly_worse: list[str]
) -> pd.DataFrame:
    """Rank models by test UAR.

    Parameters
    ----------
    judged
        {model: {split: {metric: number}}} as `summarize` makes it.
    not_significantly_worse
        Models that are not shown to be worse than the best.

    Returns
    -------
    DataFrame
        rank, model, every test metric that some model has, val_uar, and not_significantly_worse; equal models in the
        order of their names.
    """
    rows: list[dict[str, Any]] = [
        {
            "model": model,
            **splits["test"],
            "val_uar": splits["val"]["uar"],
            "not_significantly_worse": model in not_significantly_worse,
        }
        for model, splits in judged.items()
    ]
    columns = [*dict.fromkeys([*(name for row in rows for name in row), *OPTIONAL_METRICS])]
    table = pd.DataFrame(rows, columns=columns).sort_values(
        ["uar", "model"], ascending=[False, True], ignore_index=True
    )
    table.insert(0, "rank", range(1, len(table) + 1))
    return table
