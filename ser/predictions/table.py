"""The prediction table: the interface between models and evaluation.

One row per recording, fold and seed, with `COLUMNS` and one column ``prob_<emotion>`` per class. The clip_id is that of
the recording; `segments` counts the clips whose predictions were combined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser.labels import canonical_order
from ser.utils.errors import UserError

if TYPE_CHECKING:  # inference imports this module, and needs no pandas
    import pandas as pd

COLUMNS = (
    "clip_id",
    "original_id",
    "augmentation",
    "corpus",
    "speaker",
    "sex",
    "intensity",
    "sentence",
    "duration",
    "segments",
    "fold",
    "seed",
    "split",
    "emotion",
    "predicted",
    "temperature",
)


def prediction_table(
    clips: pd.DataFrame,
    probabilities: npt.NDArray[np.floating[Any]],
    *,
    classes: Sequence[str],
    seed: int,
    temperature: float = 1.0,
) -> pd.DataFrame:
    """Build the prediction table of a model, with one row per clip; see `ser.predictions.segments.combine_rows`.

    Parameters
    ----------
    clips : DataFrame
        The predicted clips, with the columns fold and split.
    probabilities : ndarray of shape (n_clips, n_classes)
    classes : sequence of str
        Emotions, in the order of the columns of `probabilities`.
    seed : int
        Seed of the model.
    temperature : float
        Temperature by which the logits were divided.

    Returns
    -------
    DataFrame
        `COLUMNS` and one column ``prob_<emotion>`` per class.
    """
    predicted = np.asarray(classes)[probabilities.argmax(axis=1)]
    duration = clips.n_samples / clips.sample_rate
    table = clips.assign(duration=duration, segments=1, seed=seed, predicted=predicted, temperature=temperature)
    columns = {f"prob_{emotion}": probabilities[:, n].astype(np.float64) for n, emotion in enumerate(classes)}
    return table[list(COLUMNS)].reset_index(drop=True).assign(**columns)


def classes_of(predictions: pd.DataFrame) -> list[str]:
    """List the classes of a prediction table, in canonical order."""
    return canonical_order([column.removeprefix("prob_") for column in predictions if column.startswith("prob_")])


def probabilities(predictions: pd.DataFrame) -> npt.NDArray[np.floating[Any]]:
    """Get the probabilities of a prediction table: (rows, classes), classes in canonical order."""
    return predictions[[f"prob_{name}" for name in classes_of(predictions)]].to_numpy(dtype=np.float64)


def true_indices(predictions: pd.DataFrame) -> npt.NDArray[np.integer[Any]]:
    """Get the class index of the true emotion of each row: (rows,)."""
    index = {name: n for n, name in enumerate(classes_of(predictions))}
    return predictions.emotion.map(index).to_numpy(dtype=np.intp)


def validate(predictions: pd.DataFrame, *, name: str) -> None:
    """Validate a prediction table.

    Raises
    ------
    UserError
        If columns or rows are missing, a clip occurs twice, a label is not a class, or probabilities are invalid.
    """
    missing = [column for column in COLUMNS if column not in predictions]
    if missing:
        raise UserError(f"predictions of {name}: columns {', '.join(missing)} are missing; found {list(predictions)}.")
    classes = classes_of(predictions)
    if predictions.empty or not classes:
        raise UserError(f"predictions of {name}: no rows or no prob_<emotion> column; expected at least one of each.")
    repeated = predictions[predictions.duplicated(["clip_id", "fold", "seed"])]
    if len(repeated):
        raise UserError(
            f"predictions of {name}: {repeated.clip_id.iloc[0]} occurs twice; expected one row per clip, fold and seed."
        )
    unknown = sorted((set(predictions.emotion) | set(predictions.predicted)) - set(classes))
    if unknown:
        raise UserError(f"predictions of {name}: {', '.join(unknown)} not among the classes {', '.join(classes)}.")
    probs = probabilities(predictions)
    if not np.allclose(probs.sum(axis=1), 1, atol=1e-3) or (probs < 0).any():
        raise UserError(
            f"predictions of {name}: the prob_<emotion> columns of each row must not be negative and must sum to 1."
        )
