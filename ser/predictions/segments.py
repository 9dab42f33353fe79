"""Combine the predictions of the segments of a recording into one.

Inference imports this module, so it imports only NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ser.predictions.table import classes_of, probabilities
from ser.predictions.temperature import log_softmax, logits

if TYPE_CHECKING:
    import pandas as pd

EVIDENCE_EXPONENT = 0.5
"""Log probabilities of n equally long segments are multiplied by n to this power. Segments of a speaker in one emotion
are neither equal (0) nor independent (1); chosen on joined clips of RAVDESS, EmoBox folds 3 to 6."""


def combine_segments(probs: npt.ArrayLike, *, durations: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Combine the class probabilities of segments by their weighted geometric mean, sharpened by their number.

    Parameters
    ----------
    probs : array-like of shape (n_segments, n_classes)
    durations : array-like of shape (n_segments,)
        Weights of the segments. Their effective number is (sum of weights)^2 / (sum of squared weights).

    Returns
    -------
    ndarray of shape (n_classes,)
        The probabilities of a single segment are unchanged.

    References
    ----------
    Genest & Zidek (1986), Combining probability distributions, section 3 (logarithmic opinion pool).
    """
    values, weights = np.asarray(probs, dtype=np.float64), np.asarray(durations, dtype=np.float64)
    if len(values) == 1:
        return values[0]
    weights = weights / weights.sum()
    n_effective = 1 / float(np.square(weights).sum())
    mean = weights @ logits(values)
    return np.exp(log_softmax(n_effective**EVIDENCE_EXPONENT * mean[None]))[0]


def combine_rows(table: pd.DataFrame, *, recordings: pd.Series[str]) -> pd.DataFrame:
    """Combine the rows of the segments of each recording of a prediction table of one fold and seed.

    Parameters
    ----------
    table : DataFrame
        Prediction table with a row per segment.
    recordings : Series of str
        The recording_id of each row.

    Returns
    -------
    DataFrame
        One row per recording and augmentation, in order. clip_id and original_id are those of the recording, the
        duration is the sum over its segments.
    """
    keys = [recordings.to_numpy(), table.augmentation.to_numpy()]
    first = table.groupby(keys, sort=False).head(1).reset_index(drop=True)
    if len(first) == len(table):
        return first
    names, columns = classes_of(table), [f"prob_{name}" for name in classes_of(table)]
    groups = [group for _, group in table.groupby(keys, sort=False)]
    probs = np.stack([combine_segments(probabilities(group), durations=group.duration) for group in groups])
    ids = [recording for (recording, _), _ in table.groupby(keys, sort=False)]
    suffixes = [clip.removeprefix(original) for clip, original in zip(first.clip_id, first.original_id, strict=True)]
    return first.assign(
        clip_id=[recording + suffix for recording, suffix in zip(ids, suffixes, strict=True)],
        original_id=ids,
        duration=[float(group.duration.sum()) for group in groups],
        segments=[len(group) for group in groups],
        predicted=np.asarray(names)[probs.argmax(axis=1)],
        **dict(zip(columns, probs.T, strict=True)),
    )
