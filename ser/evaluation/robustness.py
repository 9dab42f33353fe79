"""Evaluate robustness: compare corrupted (noise, telephone, reverberation, level) with clean test clips."""

from typing import Any

import numpy as np
import pandas as pd

from ser.dataset.clip_metadata import ROBUSTNESS_PREFIX, is_corrupted
from ser.evaluation import bootstrap, significance

COLUMNS = (
    "condition",
    "clips",
    "uar_clean",
    "uar",
    "uar_ci_low",
    "uar_ci_high",
    "uar_change",
    "uar_change_ci_low",
    "uar_change_ci_high",
    "agreement",
)


def evaluate_robustness(table: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Evaluate a model on corrupted test clips.

    Parameters
    ----------
    table : DataFrame
        A prediction table with corrupted test clips.
    resamples, seed : int
        Draws and seed of the bootstrap over speakers.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row per condition (`augmentation` without `ROBUSTNESS_PREFIX`): clips; UAR of the clean and of
        the corrupted clips; the change of UAR, corrupted minus clean; and agreement, the fraction of equal predictions.
        Limits are NaN with one speaker or if some are unknown. Without corrupted clips there are no rows.
    """
    rows = table[table.split == "test"]
    originals, corrupted = rows[rows.augmentation == ""], rows[is_corrupted(rows)]
    results = [
        {"condition": str(name).removeprefix(ROBUSTNESS_PREFIX)}
        | _compare(group, originals, resamples=resamples, seed=seed)
        for name, group in corrupted.groupby("augmentation", sort=False)
    ]
    return pd.DataFrame(results, columns=list(COLUMNS)).sort_values("condition", key=_by_severity, ignore_index=True)


def _by_severity(conditions: "pd.Series[str]") -> "pd.Series[str]":
    """Sort conditions by kind, then by decreasing amount: the higher a signal-to-noise ratio, the less noise."""
    kinds = [condition.partition("_") for condition in conditions]
    amounts = [float(amount.removesuffix("db").removesuffix("s") or 0) for _, _, amount in kinds]
    order = sorted(range(len(kinds)), key=lambda n: (kinds[n][0], -amounts[n]))
    return pd.Series(np.argsort(order), index=conditions.index)


def _compare(corrupted: pd.DataFrame, originals: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, Any]:
    corrupted = corrupted.assign(clip_id=corrupted.original_id)
    clean = originals[originals.clip_id.isin(corrupted.clip_id)]
    change = significance.paired_difference(corrupted, clean, resamples=resamples, seed=seed)
    uar = bootstrap.bootstrap(corrupted, ["uar"], resamples=resamples, seed=seed).loc["uar"]
    both = corrupted.merge(clean, on=["clip_id", "fold", "seed"], suffixes=("", "_clean"), validate="one_to_one")
    return {
        "clips": corrupted.clip_id.nunique(),
        "uar_clean": uar.value - change.difference,
        "uar": uar.value,
        "uar_change": change.difference,
        "agreement": float((both.predicted == both.predicted_clean).mean()),
        "uar_ci_low": uar.ci_low,
        "uar_ci_high": uar.ci_high,
        "uar_change_ci_low": change.ci_low,
        "uar_change_ci_high": change.ci_high,
    }


def robustness_metrics(results: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Convert the results to {"robustness.<condition>": {metric: number}}, the format of metrics.json."""
    table = results.set_index("condition")[["clips", "uar", "uar_clean", "uar_change", "agreement"]]
    return {f"robustness.{condition}": row for condition, row in table.to_dict(orient="index").items()}


def describe_condition(condition: str) -> str:
    """Describe a condition, such as ``noise_10db``, for readers."""
    kind, _, amount = condition.partition("_")
    number = amount.removesuffix("db").removesuffix("s")
    return {
        "noise": f"pink noise, {number} dB SNR",
        "telephone": "telephone, 8 kHz mu-law",
        "reverberation": f"reverberation, RT60 = {number} s",
        "level": f"{number.removeprefix('-')} dB {'softer' if number.startswith('-') else 'louder'}",
    }[kind]
