"""Evaluate binary tasks, such as high against low arousal, from the probabilities of emotions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from ser.evaluation.metrics import binary_roc_curve, uar
from ser.labels import canonical_order, validate_labels
from ser.predictions.table import classes_of
from ser.utils.errors import UserError


class Binary(NamedTuple):
    """How two groups of emotions are told apart; `curve` has the columns fpr, tpr and threshold."""

    clips: int
    accuracy: float
    uar: float
    roc_auc: float
    curve: pd.DataFrame


def binary(table: pd.DataFrame, *, positive: Sequence[str], negative: Sequence[str]) -> Binary:
    """Judge how two groups of emotions are told apart, such as high and low arousal.

    A clip's score is the probability of the positive emotions as a share of that of both groups, and the answer is
    positive where it is at least a half. Clips of other emotions are left out.

    Parameters
    ----------
    table
        A prediction table of one split.
    positive, negative
        Canonical emotions. Those that are no classes of the table are passed over.

    Returns
    -------
    Binary
        The area and the curve are NaN and empty if clips of one group are missing.

    Raises
    ------
    UserError
        If a name is no emotion or in both groups, or the table has no class or no clip of these.
    """
    groups = _groups(classes_of(table), positive=positive, negative=negative)
    rows = table[table.emotion.isin(groups[0] + groups[1])]
    if rows.empty:
        raise UserError(f"binary task: no clip is of {', '.join(groups[0] + groups[1])}; name emotions that occur.")
    true = rows.emotion.isin(groups[0]).to_numpy()
    pro, contra = (rows[[f"prob_{name}" for name in group]].sum(axis=1).to_numpy() for group in groups)
    both = pro + contra
    score = np.divide(pro, both, out=np.full(len(rows), 0.5), where=both > 0)
    answers = score >= 0.5
    area = float(roc_auc_score(true, score)) if 0 < true.sum() < len(true) else float("nan")
    accuracy, curve = float((true == answers).mean()), binary_roc_curve(true, score)
    return Binary(rows.clip_id.nunique(), accuracy, uar(true, answers), area, curve)


def _groups(classes: Sequence[str], *, positive: Sequence[str], negative: Sequence[str]) -> tuple[list[str], list[str]]:
    validate_labels([*positive, *negative], where="binary task")
    overlap = canonical_order(set(positive) & set(negative))
    found = [name for name in classes if name in positive], [name for name in classes if name in negative]
    if overlap or not all(found):
        raise UserError(
            f"binary task: positive is {', '.join(positive) or 'empty'}, negative is {', '.join(negative) or 'empty'}; "
            f"each needs one of the classes {', '.join(classes)}, and none may be in both."
        )
    return found
