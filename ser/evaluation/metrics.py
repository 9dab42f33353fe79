"""How predictions are judged. Arrays and tables in, numbers out; nothing here knows files, models or MLflow.

Conventions: labels are canonical emotions or class indices; recall of a class that does not occur is left out of
averages; every number is a share between 0 and 1. UAR, the unweighted average of the classes' recalls (also called
balanced accuracy), is the headline: a corpus with one frequent emotion does not flatter it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import (
    cohen_kappa_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from ser.predictions.table import classes_of, probabilities, true_indices


def uar(true: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Compute the unweighted average recall over the classes that occur in `true`.

    References
    ----------
    Schuller, Steidl & Batliner (2009), Interspeech emotion challenge.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    return float(np.mean([np.mean(predicted[true == label] == label) for label in np.unique(true)]))


def evaluate(predictions: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Judge one model on each split it predicted.

    Parameters
    ----------
    predictions
        A prediction table; augmented copies in it are left aside.

    Returns
    -------
    dict
        {split: {metric: number}}: uar, accuracy, precision and f1 (macro), roc_auc (macro, one against rest),
        clips, and recall_<emotion> for each class.
    """
    originals = predictions[predictions.augmentation == ""]
    classes = classes_of(predictions)
    return {split: compute_metrics(rows, classes=classes) for split, rows in originals.groupby("split")}


def compute_metrics(rows: pd.DataFrame, *, classes: Sequence[str]) -> dict[str, float]:
    """Compute every metric of some rows of a prediction table."""
    precision, recall, f1, support = precision_recall_fscore_support(
        rows.emotion, rows.predicted, labels=list(classes), zero_division=0
    )
    present = support > 0
    headline = {
        "uar": uar(rows.emotion, rows.predicted),
        "accuracy": float((rows.emotion == rows.predicted).mean()),
        "precision": float(precision[present].mean()),
        "f1": float(f1[present].mean()),
        "roc_auc": _roc_auc(rows, classes=classes),
        "clips": len(rows),
    }
    return headline | {f"recall_{name}": float(recall[n]) for n, name in enumerate(classes) if present[n]}


def _roc_auc(rows: pd.DataFrame, *, classes: Sequence[str]) -> float:
    """Average each class's area under the curve against the rest, over classes that some but not all rows have."""
    counts = {name: int((rows.emotion == name).sum()) for name in classes}
    areas = [
        roc_auc_score(rows.emotion == name, rows[f"prob_{name}"]) for name in classes if 0 < counts[name] < len(rows)
    ]
    return float(np.mean(areas)) if areas else float("nan")


def confusion(rows: pd.DataFrame, *, classes: Sequence[str]) -> pd.DataFrame:
    """Count rows by emotion (index) and predicted emotion (columns), both in canonical order."""
    counts = confusion_matrix(rows.emotion, rows.predicted, labels=list(classes))
    return pd.DataFrame(counts, index=pd.Index(classes, name="emotion"), columns=pd.Index(classes, name="predicted"))


def roc_curves(table: pd.DataFrame) -> pd.DataFrame:
    """Trace each class against the rest.

    Parameters
    ----------
    table
        A prediction table of one split.

    Returns
    -------
    DataFrame
        emotion, fpr, tpr and threshold, classes in canonical order. A class that no clip or every clip has has no
        curve and is left out. The first threshold of each is infinite.
    """
    curves = [
        binary_roc_curve((table.emotion == name).to_numpy(), table[f"prob_{name}"].to_numpy()).assign(emotion=name)
        for name in classes_of(table)
    ]
    return pd.concat(curves, ignore_index=True)[["emotion", "fpr", "tpr", "threshold"]]


def binary_roc_curve(true: npt.NDArray[np.bool_], score: npt.NDArray[np.floating[Any]]) -> pd.DataFrame:
    """Compute the ROC curve of a binary task.

    Parameters
    ----------
    true : (rows,) bool
    score : (rows,) float

    Returns
    -------
    DataFrame
        fpr, tpr and threshold, the first of which is infinite; empty unless both classes occur.
    """
    rates = roc_curve(true, score) if 0 < true.sum() < len(true) else (np.empty(0),) * 3
    return pd.DataFrame(dict(zip(("fpr", "tpr", "threshold"), rates, strict=True)))


def top_k_accuracy(table: pd.DataFrame, k: int) -> float:
    """Compute the share of rows whose emotion is among the `k` likeliest; equally likely ones in canonical order."""
    likeliest = np.argsort(-probabilities(table), axis=1, kind="stable")[:, :k]
    return float((likeliest == true_indices(table)[:, None]).any(axis=1).mean())


def cohen_kappa(table: pd.DataFrame) -> float:
    """Compute agreement beyond chance: 1 is perfect, 0 what chance gives, NaN where all is one class.

    References
    ----------
    Cohen (1960), A coefficient of agreement for nominal scales.
    """
    if len(set(table.emotion) | set(table.predicted)) < 2:
        return float("nan")
    return float(cohen_kappa_score(table.emotion, table.predicted))
