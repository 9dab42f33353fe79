"""Evaluate subgroups of the clips: by speaker, sex, corpus or duration.

Tables are prediction tables of one split. UAR of a subgroup is over the emotions that occur in it (their number is in
the column classes), so subgroups with different emotions are not comparable. `clips` counts each clip once; averages
count it once per seed.
"""

from itertools import pairwise

import numpy as np
import pandas as pd

from ser.dataset.clip_metadata import n_known_speakers
from ser.evaluation.metrics import uar

SUBGROUP_COLUMNS = ("value", "clips", "speakers", "classes", "uar", "accuracy")
DURATION_EDGES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
"""Lower edges of the duration bins, in seconds; the last bin has no upper edge."""


def evaluate_by_group(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Evaluate the clips of each value of a column.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split.
    column : str
        Name of the column, such as speaker, sex, corpus, sentence, fold or emotion.

    Returns
    -------
    DataFrame
        `SUBGROUP_COLUMNS`, one row per value (including missing values), sorted by UAR and value.

    Raises
    ------
    UserError
        If there is no such column.
    """
    rows = [
        {
            "value": value,
            "clips": rows.clip_id.nunique(),
            "speakers": n_known_speakers(rows),
            "classes": rows.emotion.nunique(),
            "uar": uar(rows.emotion, rows.predicted),
            "accuracy": float((rows.emotion == rows.predicted).mean()),
        }
        for value, rows in table.groupby(column, dropna=False, observed=True)
    ]
    return pd.DataFrame(rows, columns=list(SUBGROUP_COLUMNS)).sort_values("uar", kind="stable", ignore_index=True)


def uar_sex_gap(table: pd.DataFrame) -> float:
    """Compute the UAR of female minus that of male speakers; NaN if one of them has no clips."""
    uars = {sex: uar(rows.emotion, rows.predicted) for sex, rows in table.groupby("sex")}
    return float(uars.get("f", np.nan) - uars.get("m", np.nan))


def evaluate_by_duration(table: pd.DataFrame) -> pd.DataFrame:
    """Evaluate the clips of each duration bin.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split, with the column duration in seconds.

    Returns
    -------
    DataFrame
        `SUBGROUP_COLUMNS`, one row per bin with clips, in ascending order; values are such as "1 to 2 s" or "5 s or
        more".
    """
    edges = DURATION_EDGES
    names = [*(f"{low:g} to {high:g} s" for low, high in pairwise(edges)), f"{edges[-1]:g} s or more"]
    bins = pd.cut(table.duration, [*edges, np.inf], right=False, labels=names)
    groups = evaluate_by_group(table.assign(duration=bins), "duration")
    return groups.sort_values("value", key=lambda value: value.map(names.index), ignore_index=True)
