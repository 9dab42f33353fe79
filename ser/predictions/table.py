"""The prediction table, the seam between models and judgement.

A row per clip and fold with `COLUMNS`, and a column ``prob_<emotion>`` a class. A model that writes this table is
judged like every other.
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
    """Make the prediction table of a model.

    Parameters
    ----------
    clips
        The judged clips, with the columns fold and split.
    probabilities : (clips, classes) float
    classes
        Emotions, in the order of the columns of `probabilities`.
    seed
        Of the model.
    temperature
        By which the logarithms of its own probabilities were divided to give these.

    Returns
    -------
    DataFrame
        `COLUMNS` and a column ``prob_<emotion>`` a class.
    """
    predicted = np.asarray(classes)[probabilities.argmax(axis=1)]
    duration = clips.n_samples / clips.sample_rate
    known = clips.assign(duration=duration, seed=seed, predicted=predicted, temperature=temperature)
    table = known[list(COLUMNS)].reset_index(drop=True)
    columns = {f"prob_{emotion}": probabilities[:, n].astype(np.float64) for n, emotion in enumerate(classes)}
    return table.assign(**columns)


def classes_of(predictions: pd.DataFrame) -> list[str]:
    """Name the classes a prediction table has probabilities for, in canonical order."""
    return canonical_order([column.removeprefix("prob_") for column in predictions if column.startswith("prob_")])


def probabilities(predictions: pd.DataFrame) -> npt.NDArray[np.floating[Any]]:
    """Get the probabilities of a prediction table: (rows, classes), classes in canonical order."""
    return predictions[[f"prob_{name}" for name in classes_of(predictions)]].to_numpy(dtype=np.float64)


def true_indices(predictions: pd.DataFrame) -> npt.NDArray[np.integer[Any]]:
    """Get the index of each row's true emotion among the classes: (rows,)."""
    index = {name: n for n, name in enumerate(classes_of(predictions))}
    return predictions.emotion.map(index).to_numpy(dtype=np.intp)


def validate(predictions: pd.DataFrame, *, name: str) -> None:
    """Check a prediction table.

    Raises
    ------
    UserError
        If columns are missing, it is empty, a clip is judged twice, a label is no class, or probabilities are none.
    """
    missing = [column for column in COLUMNS if column not in predictions]
    if missing:
        raise UserError(f"predictions of {name}: columns {', '.join(missing)} are missing; found {list(predictions)}.")
    classes = classes_of(predictions)
    if predictions.empty or not classes:
        raise UserError(f"predictions of {name}: no rows or no prob_<emotion> column; a model must predict something.")
    repeated = predictions[predictions.duplicated(["clip_id", "fold", "seed"])]
    if len(repeated):
        raise UserError(
            f"predictions of {name}: {repeated.clip_id.iloc[0]} stands twice; a clip is judged once a fold."
        )
    foreign = sorted((set(predictions.emotion) | set(predictions.predicted)) - set(classes))
    if foreign:
        raise UserError(f"predictions of {name}: {', '.join(foreign)} is none of the classes {', '.join(classes)}.")
    shares = probabilities(predictions)
    if not np.allclose(shares.sum(axis=1), 1, atol=1e-3) or (shares < 0).any():
        raise UserError(
            f"predictions of {name}: the prob_<emotion> columns of each row must be shares that add up to 1."
        )
