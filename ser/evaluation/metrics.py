"""Compute classification metrics of prediction tables.

Labels are canonical emotions or class indices. Averages over classes exclude classes that do not occur. The main metric
is UAR, the unweighted average recall (balanced accuracy), which frequent classes do not dominate.
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
    """Compute the metrics of each split of a prediction table, without augmented clips.

    Returns
    -------
    dict
        {split: {metric: number}}: uar, accuracy, precision and f1 (macro), roc_auc (macro, one-vs-rest), clips, and
        recall_<emotion> for each class.
    """
    originals = predictions[predictions.augmentation == ""]
    classes = classes_of(predictions)
    return {split: compute_metrics(rows, classes=classes) for split, rows in originals.groupby("split")}


def compute_metrics(rows: pd.DataFrame, *, classes: Sequence[str]) -> dict[str, float]:
    """Compute all metrics of rows of a prediction table; see `evaluate`."""
    precision, recall, f1, support = precision_recall_fscore_support(
        rows.emotion, rows.predicted, labels=list(classes), zero_division=0
    )
    present = support > 0
    # one-vs-rest areas need clips of the class and of others
    areas = [
        roc_auc_score(rows.emotion == name, rows[f"prob_{name}"])
        for n, name in enumerate(classes)
        if 0 < support[n] < len(rows)
    ]
    averages = {
        "uar": uar(rows.emotion, rows.predicted),
        "accuracy": float((rows.emotion == rows.predicted).mean()),
        "precision": float(precision[present].mean()),
        "f1": float(f1[present].mean()),
        "roc_auc": float(np.mean(areas)) if areas else float("nan"),
        "clips": len(rows),
    }
    return averages | {f"recall_{name}": float(recall[n]) for n, name in enumerate(classes) if present[n]}


def confusion(rows: pd.DataFrame, *, classes: Sequence[str]) -> pd.DataFrame:
    """Compute the confusion matrix: counts by true (index) and predicted emotion (columns)."""
    counts = confusion_matrix(rows.emotion, rows.predicted, labels=list(classes))
    return pd.DataFrame(counts, index=pd.Index(classes, name="emotion"), columns=pd.Index(classes, name="predicted"))


def roc_curves(table: pd.DataFrame) -> pd.DataFrame:
    """Compute the one-vs-rest ROC curve of each class.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split.

    Returns
    -------
    DataFrame
        emotion, fpr, tpr and threshold, classes in canonical order. Classes that no clip or every clip has are
        excluded. The first threshold of each curve is infinite.
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
    true : ndarray of bool, shape (n_rows,)
    score : ndarray of shape (n_rows,)

    Returns
    -------
    DataFrame
        fpr, tpr and threshold, the first of which is infinite; empty unless both classes occur.
    """
    rates = roc_curve(true, score) if 0 < true.sum() < len(true) else (np.empty(0),) * 3
    return pd.DataFrame(dict(zip(("fpr", "tpr", "threshold"), rates, strict=True)))


def top_k_accuracy(table: pd.DataFrame, k: int) -> float:
    """Compute the fraction of rows whose emotion is among the `k` most probable; ties are in canonical order."""
    top = np.argsort(-probabilities(table), axis=1, kind="stable")[:, :k]
    return float((top == true_indices(table)[:, None]).any(axis=1).mean())


def cohen_kappa(table: pd.DataFrame) -> float:
    """Compute Cohen's kappa, the agreement corrected for chance; NaN if only one class occurs.

    References
    ----------
    Cohen (1960), A coefficient of agreement for nominal scales.
    """
    if len(set(table.emotion) | set(table.predicted)) < 2:
        return float("nan")
    return float(cohen_kappa_score(table.emotion, table.predicted))
