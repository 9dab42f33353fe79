"""Where a model is right and wrong: by speaker, sex or length, by pair of emotions, and in coarser tasks.

Prediction tables of one part in, tables and numbers out. Conventions: UAR within a slice of clips is over the emotions
that occur there, so slices with other emotions are not quite comparable; the column classes says how many they are.
`clips` counts clips, which shares and averages count once a seed where several seeds judged them.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import cohen_kappa_score, roc_auc_score, roc_curve

from ser.clip_metadata import count_known
from ser.emotions import check_words, in_order
from ser.errors import InputError
from ser.metrics import uar
from ser.predictions import classes_of, probabilities

SLICE = ("value", "clips", "speakers", "classes", "uar", "accuracy")
SECONDS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
"""Where bins of duration begin; the last one has no end."""


class Extremes(NamedTuple):
    """The slices with the lowest and the highest UAR, these UARs, and their difference."""

    worst: Any
    worst_uar: float
    best: Any
    best_uar: float
    spread: float


class Binary(NamedTuple):
    """How two groups of emotions are told apart; `curve` has the columns fpr, tpr and threshold."""

    clips: int
    accuracy: float
    uar: float
    roc_auc: float
    curve: pd.DataFrame


# Slices ---------------------------------------------------------------------------------------------------------------


def by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Judge the clips of each value of a column apart.

    Parameters
    ----------
    table
        A prediction table of one part.
    column
        Such as speaker, sex, corpus, text, fold or emotion.

    Returns
    -------
    DataFrame
        `SLICE`, a row a value, the lowest UAR first and equal ones in the order of their values. UAR is over the
        emotions that the slice has; a missing value is a value.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if column not in table:
        raise InputError(f"breakdown by {column}: predictions have no such column; they have {', '.join(table)}.")
    rows = [_slice(value, rows) for value, rows in table.groupby(column, dropna=False, observed=True)]
    return pd.DataFrame(rows, columns=list(SLICE)).sort_values("uar", kind="stable", ignore_index=True)


def _slice(value: Any, rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "value": value,
        "clips": rows.clip_id.nunique(),
        "speakers": count_known(rows),
        "classes": rows.emotion.nunique(),
        "uar": uar(rows.emotion, rows.predicted),
        "accuracy": float((rows.emotion == rows.predicted).mean()),
    }


def extremes(table: pd.DataFrame, *, column: str = "speaker") -> Extremes:
    """Name the speakers who are understood worst and best.

    Parameters
    ----------
    table
        A prediction table of one part.
    column
        What to look at instead of speakers.

    Raises
    ------
    InputError
        If there is no such column.
    """
    found = by(table, column)
    worst, best = found.iloc[0], found.iloc[-1]
    return Extremes(worst.value, float(worst.uar), best.value, float(best.uar), float(best.uar - worst.uar))


def sex_gap(table: pd.DataFrame) -> float:
    """Compute the UAR of women's clips minus that of men's; NaN where one of them is not heard."""
    found = {sex: uar(rows.emotion, rows.predicted) for sex, rows in table.groupby("sex")}
    return float(found.get("f", np.nan) - found.get("m", np.nan))


def by_duration(table: pd.DataFrame, *, column: str = "seconds", edges: Sequence[float] = SECONDS) -> pd.DataFrame:
    """Judge short and long clips apart.

    Parameters
    ----------
    table
        A prediction table of one part, with a column of durations, in seconds.
    column
        Its name.
    edges
        Where bins begin, in seconds, ascending; a bin holds its lower edge and not its upper, and the last is open.

    Returns
    -------
    DataFrame
        `SLICE`, a row a bin that has clips, from short to long; value is such as "1 to 2 s" or "5 s or more".

    Raises
    ------
    InputError
        If there is no such column, or a clip has no duration or a shorter one than the first edge.
    """
    if column not in table:
        raise InputError(f"breakdown by duration: predictions have no column {column}; join it to them by clip_id.")
    outside = table[~(table[column] >= edges[0])]
    if len(outside):
        first = outside.iloc[0]
        raise InputError(
            f"breakdown by duration: {first.clip_id} has {first[column]} s; each clip needs at least {edges[0]:g} s."
        )
    names = [f"{low:g} to {high:g} s" for low, high in pairwise(edges)]
    names.append(f"{edges[-1]:g} s or more")
    bins = pd.cut(table[column], [*edges, np.inf], right=False, labels=names)
    found = by(table.assign(**{column: bins}), column)
    return found.sort_values("value", key=lambda value: value.map(names.index), ignore_index=True)


# Errors ---------------------------------------------------------------------------------------------------------------


def confused_pairs(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """List the emotions most often taken for another.

    Parameters
    ----------
    table
        A prediction table of one part.
    n
        How many pairs.

    Returns
    -------
    DataFrame
        emotion, predicted, clips, and share: of the emotion's answers, which ranks, so that a frequent emotion does
        not fill the list. At most `n` rows; equal shares in canonical order.
    """
    wrong = table[table.emotion != table.predicted]
    grouped = wrong.groupby(["emotion", "predicted"])
    answers = table.groupby("emotion").size()
    found = pd.DataFrame({"clips": grouped.clip_id.nunique(), "answers": grouped.size()}).reset_index()
    found = found.assign(share=found.answers / answers.reindex(found.emotion).to_numpy())
    rank = {name: place for place, name in enumerate(classes_of(table))}
    ordered = found.sort_values(["emotion", "predicted"], key=lambda names: names.map(rank))
    ordered = ordered.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    return ordered[["emotion", "predicted", "clips", "share"]].head(n)


def confidently_wrong(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """List the clips to listen to: those with the highest probability for a wrong answer.

    Parameters
    ----------
    table
        A prediction table of one part.
    n
        How many.

    Returns
    -------
    DataFrame
        clip_id, corpus, speaker, seed, emotion, predicted, confidence (the answer's probability) and truth (that of
        the emotion). At most `n` rows; equal ones in the order of their clip_id.
    """
    names = classes_of(table)
    shares, rows = probabilities(table), np.arange(len(table))
    known = {column: pd.Categorical(table[column], categories=names).codes for column in ("emotion", "predicted")}
    judged = table.assign(confidence=shares[rows, known["predicted"]], truth=shares[rows, known["emotion"]])
    wrong = judged[judged.emotion != judged.predicted]
    ordered = wrong.sort_values(["confidence", "clip_id", "seed"], ascending=[False, True, True], ignore_index=True)
    columns = ["clip_id", "corpus", "speaker", "seed", "emotion", "predicted", "confidence", "truth"]
    return ordered[columns].head(n)


# Other tasks and measures ---------------------------------------------------------------------------------------------


def binary(table: pd.DataFrame, *, positive: Sequence[str], negative: Sequence[str]) -> Binary:
    """Judge how two groups of emotions are told apart, such as high and low arousal.

    A clip's score is the probability of the positive emotions as a share of that of both groups, and the answer is
    positive where it is at least a half. Clips of other emotions are left out.

    Parameters
    ----------
    table
        A prediction table of one part.
    positive, negative
        Canonical emotions. Those that are no classes of the table are passed over.

    Returns
    -------
    Binary
        The area and the curve are NaN and empty if clips of one group are missing.

    Raises
    ------
    InputError
        If a name is no emotion or in both groups, or the table has no class or no clip of these.
    """
    groups = _groups(classes_of(table), positive=positive, negative=negative)
    rows = table[table.emotion.isin(groups[0] + groups[1])]
    if rows.empty:
        raise InputError(f"binary task: no clip is of {', '.join(groups[0] + groups[1])}; name emotions that occur.")
    true = rows.emotion.isin(groups[0]).to_numpy()
    pro, contra = (rows[[f"p_{name}" for name in group]].sum(axis=1).to_numpy() for group in groups)
    both = pro + contra
    score = np.divide(pro, both, out=np.full(len(rows), 0.5), where=both > 0)
    answers = score >= 0.5
    area = float(roc_auc_score(true, score)) if 0 < true.sum() < len(true) else float("nan")
    return Binary(
        rows.clip_id.nunique(), float((true == answers).mean()), uar(true, answers), area, _curve(true, score)
    )


def _groups(classes: Sequence[str], *, positive: Sequence[str], negative: Sequence[str]) -> tuple[list[str], list[str]]:
    check_words([*positive, *negative], where="binary task")
    overlap = in_order(set(positive) & set(negative))
    found = [name for name in classes if name in positive], [name for name in classes if name in negative]
    if overlap or not all(found):
        raise InputError(
            f"binary task: positive is {', '.join(positive) or 'empty'}, negative is {', '.join(negative) or 'empty'}; "
            f"each needs one of the classes {', '.join(classes)}, and none may be in both."
        )
    return found


def _curve(true: npt.NDArray[np.bool_], score: npt.NDArray[np.floating[Any]]) -> pd.DataFrame:
    """Trace the rates at each threshold, the first of which is infinite; empty unless both answers occur."""
    rates = roc_curve(true, score) if _both(true) else (np.empty(0),) * 3
    return pd.DataFrame(dict(zip(("fpr", "tpr", "threshold"), rates, strict=True)))


def _both(true: npt.NDArray[np.bool_]) -> bool:
    """Say whether some but not all are true, without which there is no curve."""
    return bool(0 < true.sum() < len(true))


def roc_curves(table: pd.DataFrame) -> pd.DataFrame:
    """Trace each class against the rest.

    Parameters
    ----------
    table
        A prediction table of one part.

    Returns
    -------
    DataFrame
        emotion, fpr, tpr and threshold, classes in canonical order. A class that no clip or every clip has has no
        curve and is left out. The first threshold of each is infinite.
    """
    curves = [
        _curve((table.emotion == name).to_numpy(), table[f"p_{name}"].to_numpy()).assign(emotion=name)
        for name in classes_of(table)
    ]
    return pd.concat(curves, ignore_index=True)[["emotion", "fpr", "tpr", "threshold"]]


def top_k_accuracy(table: pd.DataFrame, k: int) -> float:
    """Compute the share of rows whose emotion is among the `k` likeliest; equally likely ones in canonical order."""
    likeliest = np.argsort(-probabilities(table), axis=1, kind="stable")[:, :k]
    truth = pd.Categorical(table.emotion, categories=classes_of(table)).codes
    return float((likeliest == truth[:, None]).any(axis=1).mean())


def cohen_kappa(table: pd.DataFrame) -> float:
    """Compute agreement beyond chance: 1 is perfect, 0 what chance gives, NaN where all is one class.

    References
    ----------
    Cohen (1960), A coefficient of agreement for nominal scales.
    """
    if len(set(table.emotion) | set(table.predicted)) < 2:
        return float("nan")
    return float(cohen_kappa_score(table.emotion, table.predicted))
