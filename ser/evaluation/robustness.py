"""How much noise, telephones, rooms and levels disturb a model: altered test clips beside the same clips unaltered.

Prediction tables in, tables of numbers out. None of it is in a headline.
"""

import numpy as np
import pandas as pd

from ser.dataset.clip_metadata import ROBUSTNESS_PREFIX, is_corrupted, is_unknown_speaker
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
    """Judge a model on altered test clips.

    Parameters
    ----------
    table
        Its prediction table, with the copies for testing.
    resamples, seed
        Of the bootstrap over speakers.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a condition (`augmentation` without `ROBUSTNESS_PREFIX`): clips; the UAR of these clips
        unaltered and altered (with limits); the change of UAR, altered minus unaltered, with its limits over speakers
        (NaN over one, or where nobody knows who speaks); and the agreement: the share of predictions that stay the
        same. No rows without such copies.
    """
    tested = table[table.split == "test"]
    originals, copies = tested[tested.augmentation == ""], tested[is_corrupted(tested)]
    found = [
        {
            "condition": str(augmentation).removeprefix(ROBUSTNESS_PREFIX),
            **_compare(rows, originals, resamples=resamples, seed=seed),
        }
        for augmentation, rows in copies.groupby("augmentation", sort=False)
    ]
    return pd.DataFrame(found, columns=list(COLUMNS)).sort_values("condition", key=_by_severity, ignore_index=True)


def _by_severity(conditions: "pd.Series[str]") -> "pd.Series[str]":
    """Sort conditions by kind, and a kind by falling amount: the higher a signal-to-noise ratio, the less noise."""
    kinds = [condition.partition("_") for condition in conditions]
    amounts = [float(amount.removesuffix("db").removesuffix("s") or 0) for _, _, amount in kinds]
    order = sorted(range(len(kinds)), key=lambda n: (kinds[n][0], -amounts[n]))
    return pd.Series(np.argsort(order), index=conditions.index)


def _compare(altered: pd.DataFrame, originals: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, float]:
    altered = altered.assign(clip_id=altered.original_id)
    clean = originals[originals.clip_id.isin(altered.clip_id)]
    change = significance.paired_difference(altered, clean, resamples=resamples, seed=seed)
    uar = bootstrap.bootstrap(altered, ["uar"], resamples=resamples, seed=seed).loc["uar"]
    limits = {
        "uar_ci_low": uar.ci_low,
        "uar_ci_high": uar.ci_high,
        "uar_change_ci_low": change.ci_low,
        "uar_change_ci_high": change.ci_high,
    }
    if is_unknown_speaker(altered).any():
        limits = dict.fromkeys(limits, float("nan"))
    return {
        "clips": altered.clip_id.nunique(),
        "uar_clean": uar.value - change.difference,
        "uar": uar.value,
        "uar_change": change.difference,
        "agreement": _agreement(altered, clean),
        **limits,
    }


def _agreement(altered: pd.DataFrame, clean: pd.DataFrame) -> float:
    both = altered.merge(clean, on=["clip_id", "fold", "seed"], suffixes=("", "_clean"), validate="one_to_one")
    return float((both.predicted == both.predicted_clean).mean())


def robustness_metrics(found: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Turn the table into {"robustness.<condition>": {metric: number}}, which metrics.json has beside the splits."""
    table = found.set_index("condition")[["clips", "uar", "uar_clean", "uar_change", "agreement"]]
    return {f"robustness.{condition}": row for condition, row in table.to_dict(orient="index").items()}


def describe_condition(condition: str) -> str:
    """Say what a condition is."""
    kind, _, amount = condition.partition("_")
    number = amount.removesuffix("db").removesuffix("s")
    said = {
        "noise": f"pink noise, {number} dB SNR",
        "telephone": "telephone, 8 kHz mu-law",
        "reverberation": f"a room that echoes for {number} s",
        "level": f"{number.removeprefix('-')} dB {'softer' if number.startswith('-') else 'louder'}",
    }
    return said[kind]
