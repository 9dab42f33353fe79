"""Fake predictions with speakers of different accuracy, and tables of their evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.evaluation import bootstrap, calibration, metrics, significance, subgroups
from ser.predictions.table import classes_of, prediction_table
from ser.predictions.temperature import apply_temperature, undo_temperature
from ser.reporting import plots

CLOSE = {"calm": "neutral", "neutral": "calm", "happy": "surprised", "surprised": "happy", "fearful": "sad"}
"""Emotions that are confused more often than others."""


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
    """Predict all clips once per seed with a model of some skill (0: none, 3: good).

    `sure` above 1 makes it overconfident; `never` is an emotion that it never predicts.
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
        probs = np.exp(sure * logits)
        probs /= probs.sum(axis=1, keepdims=True)
        tables.append(
            prediction_table(clips.assign(fold=fold, split="test"), probs, classes=classes, seed=seed, temperature=1.0)
        )
    return pd.concat(tables, ignore_index=True)


def replace_predictions(
    table: pd.DataFrame, rows: Sequence[int] | np.ndarray, names: Sequence[str] | str
) -> pd.DataFrame:
    """Replace the predictions of some rows; the probabilities of the old and the new emotion are swapped."""
    changed, classes = table.copy(), classes_of(table)
    columns = [f"prob_{name}" for name in classes]
    probs = changed[columns].to_numpy(copy=True)
    new = [names] * len(rows) if isinstance(names, str) else list(names)
    for row, name in zip(rows, new, strict=True):
        pair = [classes.index(changed.predicted[row]), classes.index(name)]
        probs[row, pair] = probs[row, pair[::-1]]
    changed.loc[list(rows), "predicted"] = new
    return changed.assign(**{column: probs[:, n] for n, column in enumerate(columns)})


def degrade(table: pd.DataFrame, points: float) -> pd.DataFrame:
    """Replace correct predictions of each emotion by wrong ones, so that UAR falls by `points` hundredths."""
    correct, classes = table[table.emotion == table.predicted], classes_of(table)
    rows = [
        row
        for emotion, clips in correct.groupby("emotion")
        for row in clips.sample(round(points / 100 * (table.emotion == emotion).sum()), random_state=1).index
    ]
    wrong = [classes[(classes.index(name) + 4) % len(classes)] for name in table.emotion[rows]]
    return replace_predictions(table, rows, wrong)


def scaled(table: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """Scale by a temperature, and record it in the table."""
    return apply_temperature(table, temperature).assign(temperature=temperature)


def leaderboard(tables: Mapping[str, pd.DataFrame], *, resamples: int = 200) -> pd.DataFrame:
    """Evaluate models like `ser.evaluation.summary.leaderboard`."""
    equal = significance.not_significantly_worse(tables, resamples=resamples, seed=1)
    rows = [
        _summary(model, table, resamples=resamples) | {"not_significantly_worse": model in equal}
        for model, table in tables.items()
    ]
    return pd.DataFrame(rows).sort_values(["uar", "model"], ascending=[False, True], ignore_index=True)


def _summary(model: str, table: pd.DataFrame, *, resamples: int) -> dict[str, Any]:
    intervals = bootstrap.bootstrap(table, ["uar", "accuracy", "f1"], resamples=resamples, seed=1)
    limits = {
        f"{name}{end}": intervals.loc[name, column]
        for name in intervals.index
        for end, column in (("", "value"), ("_ci_low", "ci_low"), ("_ci_high", "ci_high"))
    }
    over_folds = subgroups.evaluate_by_group(table, "fold").uar
    return limits | {
        "model": model,
        "roc_auc": metrics.compute_metrics(table, classes=classes_of(table))["roc_auc"],
        "cohen_kappa": metrics.cohen_kappa(table),
        "top2_accuracy": metrics.top_k_accuracy(table, 2),
        "ece": calibration.ece(table),
        "ece_uncalibrated": calibration.ece(undo_temperature(table)),
        "uar_seed_sd": subgroups.evaluate_by_group(table, "seed").uar.std(),
        "uar_fold_mean": over_folds.mean() if len(over_folds) > 1 else np.nan,
        "uar_fold_sd": over_folds.std() if len(over_folds) > 1 else np.nan,
        "val_uar": limits["uar"] + 0.03,
        "speakers": int(intervals.speakers.iloc[0]),
        "clips": int(intervals.clips.iloc[0]),
    }


def leakage() -> pd.DataFrame:
    """Make the table of the leakage checks."""
    rows = [
        ("leak_clip", "", 0.93, "random clips held out"),
        ("leak_speaker", "", 0.58, "speakers held out"),
        ("leak_augmented_after_split", "", 0.92, "random clips held out; augmented training clips in training"),
        (
            "leak_augmented_before_split",
            "",
            0.97,
            "demonstration only: augmented clips of the held-out clips are in training",
        ),
    ]
    table = pd.DataFrame(rows, columns=["probe", "corpus", "uar", "note"])
    return table.assign(clips=1440, speakers=24, classes=8)


def draw_confusion(tables: Mapping[str, pd.DataFrame], folder: Path, *, classes: Sequence[str]) -> None:
    """Plot the confusion matrices of the test clips."""
    for model, table in tables.items():
        counts = metrics.confusion(table, classes=classes)
        plots.plot_confusion(counts, folder / f"{model}_test.png", title=f"{model}, test clips\nravdess")
