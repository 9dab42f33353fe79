"""Evaluate subgroups of the clips: by speaker, sex, corpus or duration.

Prediction tables of one split in, tables and numbers out. Conventions: UAR within a subgroup is over the emotions that
occur there, so subgroups with other emotions are not quite comparable; the column classes says how many they are.
`clips` counts clips, which averages count once a seed where several seeds judged them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ser.dataset.clip_metadata import n_known_speakers
from ser.evaluation.metrics import uar
from ser.utils.errors import UserError

SUBGROUP_COLUMNS = ("value", "clips", "speakers", "classes", "uar", "accuracy")
SECONDS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
"""Where bins of duration begin; the last one has no end."""


class BestAndWorst(NamedTuple):
    """The slices with the lowest and the highest UAR, these UARs, and their difference."""

    worst: Any
    worst_uar: float
    best: Any
    best_uar: float
    spread: float


def evaluate_by_group(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Judge the clips of each value of a column apart.

    Parameters
    ----------
    table
        A prediction table of one split.
    column
        Such as speaker, sex, corpus, sentence, fold or emotion.

    Returns
    -------
    DataFrame
        `SUBGROUP_COLUMNS`, a row a value, the lowest UAR first and equal ones in the order of their values. UAR is
        over the
        emotions that the slice has; a missing value is a value.

    Raises
    ------
    UserError
        If there is no such column.
    """
    if column not in table:
        raise UserError(f"breakdown by {column}: predictions have no such column; they have {', '.join(table)}.")
    rows = [_slice(value, rows) for value, rows in table.groupby(column, dropna=False, observed=True)]
    return pd.DataFrame(rows, columns=list(SUBGROUP_COLUMNS)).sort_values("uar", kind="stable", ignore_index=True)


def _slice(value: Any, rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "value": value,
        "clips": rows.clip_id.nunique(),
        "speakers": n_known_speakers(rows),
        "classes": rows.emotion.nunique(),
        "uar": uar(rows.emotion, rows.predicted),
        "accuracy": float((rows.emotion == rows.predicted).mean()),
    }


def best_and_worst_group(table: pd.DataFrame, *, column: str = "speaker") -> BestAndWorst:
    """Name the speakers who are understood worst and best.

    Parameters
    ----------
    table
        A prediction table of one split.
    column
        What to look at instead of speakers.

    Raises
    ------
    UserError
        If there is no such column.
    """
    found = evaluate_by_group(table, column)
    worst, best = found.iloc[0], found.iloc[-1]
    return BestAndWorst(worst.value, float(worst.uar), best.value, float(best.uar), float(best.uar - worst.uar))


def uar_sex_gap(table: pd.DataFrame) -> float:
    """Compute the UAR of women's clips minus that of men's; NaN where one of them is not heard."""
    found = {sex: uar(rows.emotion, rows.predicted) for sex, rows in table.groupby("sex")}
    return float(found.get("f", np.nan) - found.get("m", np.nan))


def evaluate_by_duration(
    table: pd.DataFrame, *, column: str = "duration", edges: Sequence[float] = SECONDS
) -> pd.DataFrame:
    """Judge short and long clips apart.

    Parameters
    ----------
    table
        A prediction table of one split, with a column of durations, in seconds.
    column
        Its name.
    edges
        Where bins begin, in seconds, ascending; a bin holds its lower edge and not its upper, and the last is open.

    Returns
    -------
    DataFrame
        `SUBGROUP_COLUMNS`, a row a bin that has clips, from short to long; value is such as "1 to 2 s" or "5 s or
        more".

    Raises
    ------
    UserError
        If there is no such column, or a clip has no duration or a shorter one than the first edge.
    """
    if column not in table:
        raise UserError(f"breakdown by duration: predictions have no column {column}; join it to them by clip_id.")
    outside = table[~(table[column] >= edges[0])]
    if len(outside):
        first = outside.iloc[0]
        raise UserError(
            f"breakdown by duration: {first.clip_id} has {first[column]} s; each clip needs at least {edges[0]:g} s."
        )
    names = [f"{low:g} to {high:g} s" for low, high in pairwise(edges)]
    names.append(f"{edges[-1]:g} s or more")
    bins = pd.cut(table[column], [*edges, np.inf], right=False, labels=names)
    found = evaluate_by_group(table.assign(**{column: bins}), column)
    return found.sort_values("value", key=lambda value: value.map(names.index), ignore_index=True)
