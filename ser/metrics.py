"""How predictions are judged. Arrays and tables in, numbers out; nothing here knows files, models or MLflow.

Conventions: labels are canonical emotions or class indices; recall of a class that does not occur is left out of
averages; every number is a share between 0 and 1. UAR, the unweighted average of the classes' recalls (also called
balanced accuracy), is the headline: a corpus with one frequent emotion does not flatter it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from ser.predictions import classes_of


def uar(true: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Compute the unweighted average recall over the classes that occur in `true`.

    References
    ----------
    Schuller, Steidl & Batliner (2009), Interspeech emotion challenge.
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    return float(np.mean([np.mean(predicted[true == label] == label) for label in np.unique(true)]))


def evaluate(predictions: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Judge one model on each part it predicted.

    Parameters
    ----------
    predictions
        A prediction table; augmented copies in it are left aside.

    Returns
    -------
    dict
        {part: {metric: number}}: uar, accuracy, precision, recall and f1 (macro), roc_auc (macro, one against rest),
        clips, and recall_<emotion> for each class.
    """
    originals = predictions[predictions.augmentation == ""]
    classes = classes_of(predictions)
    return {part: judge(rows, classes=classes) for part, rows in originals.groupby("part")}


def judge(rows: pd.DataFrame, *, classes: Sequence[str]) -> dict[str, float]:
    """Compute every metric of some rows of a prediction table."""
    precision, recall, f1, support = precision_recall_fscore_support(
        rows.emotion, rows.predicted, labels=list(classes), zero_division=0
    )
    present = support > 0
    headline = {
        "uar": uar(rows.emotion, rows.predicted),
        "accuracy": float((rows.emotion == rows.predicted).mean()),
        "precision": float(precision[present].mean()),
        "recall": float(recall[present].mean()),
        "f1": float(f1[present].mean()),
        "roc_auc": _roc_auc(rows, classes=classes),
        "clips": len(rows),
    }
    return headline | {f"recall_{name}": float(recall[n]) for n, name in enumerate(classes) if present[n]}


def _roc_auc(rows: pd.DataFrame, *, classes: Sequence[str]) -> float:
    """Average each class's area under the curve against the rest, over classes that some but not all rows have."""
    counts = {name: int((rows.emotion == name).sum()) for name in classes}
    areas = [roc_auc_score(rows.emotion == name, rows[f"p_{name}"]) for name in classes if 0 < counts[name] < len(rows)]
    return float(np.mean(areas)) if areas else float("nan")


def confusion(rows: pd.DataFrame, *, classes: Sequence[str]) -> pd.DataFrame:
    """Count rows by emotion (index) and predicted emotion (columns), both in canonical order."""
    counts = confusion_matrix(rows.emotion, rows.predicted, labels=list(classes))
    return pd.DataFrame(counts, index=pd.Index(classes, name="emotion"), columns=pd.Index(classes, name="predicted"))
