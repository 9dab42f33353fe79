"""Evaluate binary tasks, such as high against low arousal, from the probabilities of emotions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from ser.evaluation.metrics import binary_roc_curve, uar
from ser.predictions.table import classes_of
from ser.utils.errors import UserError


class Binary(NamedTuple):
    """Scores of a binary task between two groups of classes.

    `curve` is the ROC curve with the columns fpr, tpr and threshold.
    """

    clips: int
    accuracy: float
    uar: float
    roc_auc: float
    curve: pd.DataFrame
    positive: list[str]
    negative: list[str]


def binary(table: pd.DataFrame, *, positive: Sequence[str], negative: Sequence[str]) -> Binary:
    """Compute the scores of a binary task between two groups of emotions.

    The score of a clip is the probability of the positive emotions divided by that of both groups. The prediction is
    positive from 0.5 on. Clips of other emotions are excluded.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split.
    positive, negative : sequence of str
        Canonical emotions. Those that are not classes of the table are ignored.

    Returns
    -------
    Binary
        If one group has no clips, `roc_auc` is NaN and `curve` is empty.

    Raises
    ------
    UserError
        If a name is not an emotion or is in both groups, or the table has no class or no clip of a group.
    """
    classes = classes_of(table)
    groups = [name for name in classes if name in positive], [name for name in classes if name in negative]
    if not all(groups):
        raise UserError(
            f"binary task: positive is {', '.join(positive)}, negative is {', '.join(negative)}; each needs one of the "
            f"classes {', '.join(classes)}."
        )
    rows = table[table.emotion.isin(groups[0] + groups[1])]
    if rows.empty:
        raise UserError(f"binary task: no clips of {', '.join(groups[0] + groups[1])}; use emotions that occur.")
    true = rows.emotion.isin(groups[0]).to_numpy()
    p_positive, p_negative = (rows[[f"prob_{name}" for name in group]].sum(axis=1).to_numpy() for group in groups)
    both = p_positive + p_negative
    score = np.divide(p_positive, both, out=np.full(len(rows), 0.5), where=both > 0)
    predicted = score >= 0.5
    roc_auc = float(roc_auc_score(true, score)) if 0 < true.sum() < len(true) else float("nan")
    accuracy, curve = float((true == predicted).mean()), binary_roc_curve(true, score)
    return Binary(rows.clip_id.nunique(), accuracy, uar(true, predicted), roc_auc, curve, *groups)
