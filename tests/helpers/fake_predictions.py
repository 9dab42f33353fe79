"""Fake predictions with speakers of different accuracy, and arguments of `evaluation_report.write`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.evaluation import bootstrap, calibration, metrics, significance, subgroups
from ser.predictions.table import prediction_table
from ser.predictions.temperature import apply_temperature, undo_temperature
from ser.reporting import plots

CLOSE = {"calm": "neutral", "neutral": "calm", "happy": "surprised", "surprised": "happy", "fearful": "sad"}
"""Emotions that are taken for each other more often than others."""


def predictions(
    clips: pd.DataFrame,
    *,
    skill: float,
    classes: Sequence[str],
    seeds: Sequence[int] = (1,),
    folds: int = 1,
    sure: float = 1.0,
    never: str | None = None,
) -> pd.DataFrame:
    """Make a prediction table of a model of some skill (0: none, 3: good), all clips tested once a seed.

    `sure` above 1 makes it too sure of itself; `never` is an emotion that it does not answer.
    """
    names = sorted(clips.speaker.unique())
    generator = np.random.default_rng([len(clips), int(100 * skill)])
    clarity = dict(zip(names, generator.normal(scale=0.5, size=len(names)), strict=True))
    place = {name: n for n, name in enumerate(classes)}
    truth = clips.emotion.map(place).to_numpy()
    close = clips.emotion.map(lambda name: place.get(CLOSE.get(name, name), place[name])).to_numpy()
    fold = clips.speaker.map({name: n % folds + 1 for n, name in enumerate(names)})
    tables = []
    for seed in seeds:
        logits = np.random.default_rng([seed, int(100 * skill)]).normal(size=(len(clips), len(classes)))
        rows = np.arange(len(clips))
        logits[rows, truth] += skill * np.exp(clips.speaker.map(clarity).to_numpy())
        logits[rows, close] += skill / 3
        if never is not None:
            logits[:, place[never]] = -9
        shares = np.exp(sure * logits)
        shares /= shares.sum(axis=1, keepdims=True)
        judged = clips.assign(fold=fold, split="test")
        tables.append(prediction_table(judged, shares, classes=classes, seed=seed, temperature=1.0))
    return pd.concat(tables, ignore_index=True)


def scaled(table: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """Calibrate by a temperature, and say so in the table."""
    return apply_temperature(table, temperature).assign(temperature=temperature)


def headline(tables: Mapping[str, pd.DataFrame], *, resamples: int = 200) -> pd.DataFrame:
    """Judge models as the evaluation does."""
    equal = significance.not_significantly_worse(tables, resamples=resamples, seed=1)
    rows = [
        _judged(model, table, resamples=resamples) | {"not_significantly_worse": model in equal}
        for model, table in tables.items()
    ]
    return pd.DataFrame(rows).sort_values(["uar", "model"], ascending=[False, True], ignore_index=True)


def _judged(model: str, table: pd.DataFrame, *, resamples: int) -> dict[str, Any]:
    found = bootstrap.bootstrap(table, ["uar", "accuracy", "f1"], resamples=resamples, seed=1)
    limits = {
        f"{name}{end}": found.loc[name, column]
        for name in found.index
        for end, column in (("", "value"), ("_ci_low", "ci_low"), ("_ci_high", "ci_high"))
    }
    over_folds = subgroups.evaluate_by_group(table, "fold").uar
    return limits | {
        "model": model,
        "roc_auc": metrics.compute_metrics(
            table, classes=[c.removeprefix("prob_") for c in table if c.startswith("prob_")]
        )["roc_auc"],
        "cohen_kappa": metrics.cohen_kappa(table),
        "top2_accuracy": metrics.top_k_accuracy(table, 2),
        "ece": calibration.ece(table),
        "ece_uncalibrated": calibration.ece(undo_temperature(table)),
        "uar_seed_sd": bootstrap.mean_over_seeds(table, ["uar"]).loc["uar", "sd"],
        "uar_fold_mean": over_folds.mean() if len(over_folds) > 1 else np.nan,
        "uar_fold_sd": over_folds.std() if len(over_folds) > 1 else np.nan,
        "val_uar": limits["uar"] + 0.03,
        "speakers": int(found.speakers.iloc[0]),
        "clips": int(found.clips.iloc[0]),
    }


def probe() -> pd.DataFrame:
    """Make the table of the leak meter."""
    rows = [
        ("leak_clip", "", 0.93, "random clips held out"),
        ("leak_speaker", "", 0.58, "speakers held out"),
        ("leak_augmented_after_split", "", 0.92, "random clips held out, copies of the others in training"),
        ("leak_augmented_before_split", "", 0.97, "random clips and copies of training clips held out"),
    ]
    table = pd.DataFrame(rows, columns=["probe", "corpus", "uar", "note"])
    return table.assign(clips=1440, speakers=24, classes=8)


def draw_confusion(tables: Mapping[str, pd.DataFrame], folder: Path, *, classes: Sequence[str]) -> None:
    """Draw the matrices that the evaluation leaves."""
    for model, table in tables.items():
        counts = metrics.confusion(table, classes=classes)
        plots.plot_confusion(counts, folder / f"{model}_test.png", title=f"{model}, test clips\nravdess")
