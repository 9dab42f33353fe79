"""Temperature scaling of probabilities.

Inference imports this module: only NumPy is imported with it, and SciPy where a temperature is fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ser.predictions.table import classes_of, probabilities, true_indices
from ser.utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.floating[Any]]

TINY = 1e-12
"""Stands for a probability of 0, of which there is no logarithm."""
TEMPERATURES = (0.05, 20.0)
"""Where a temperature is looked for."""
TEMPERATURE_PENALTY = 0.2
"""How many nats a temperature of e, or of 1/e, must gain a clip of one speaker to be worth it."""


def logits(shares: Array) -> Array:
    """Take the logarithms of (rows, classes) probabilities."""
    return np.log(np.maximum(shares, TINY))


def log_softmax(values: Array) -> Array:
    """Turn (rows, classes) logits into logarithms of probabilities."""
    shifted = values - values.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax_with_temperature(values: Array, temperature: npt.ArrayLike) -> Array:
    """Turn (rows, classes) logits into probabilities at a temperature: one number, or one a row."""
    return np.exp(log_softmax(values / np.asarray(temperature, dtype=np.float64).reshape(-1, 1)))


def fit_temperature(table: pd.DataFrame) -> float:
    """Find the temperature under which validation clips are likeliest, and nearer to 1 the fewer their speakers are.

    What makes a model right on one or two voices says little of others, and less if the voice is known from training,
    as where a corpus has only two. So the mean negative log likelihood plus `TEMPERATURE_PENALTY` / speakers *
    |ln(T)| is made
    least, the maximum a posteriori where ln(T) has a Laplace distribution around 0.

    Parameters
    ----------
    table
        Validation rows of one fitted model; each fold and each seed has a temperature of its own.

    Returns
    -------
    float
        Above 1 if the model is too sure of itself, and within `TEMPERATURES`.

    Raises
    ------
    UserError
        If there are no rows or some are of another split than val: a temperature that saw a test clip flatters.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    splits = sorted(table.split.unique())
    if splits != ["val"]:
        raise UserError(
            f"temperature: fitted on validation clips only, found rows of {', '.join(splits) or 'no split'}; "
            'pass table[table.split == "val"].'
        )
    shares, truth = probabilities(table), true_indices(table)
    rows, distrust = np.arange(len(truth)), TEMPERATURE_PENALTY / table.speaker.nunique()

    def loss(log_temperature: float) -> float:
        logs = log_softmax(logits(shares) / np.exp(log_temperature))
        return float(-logs[rows, truth].mean()) + distrust * abs(log_temperature)

    return float(np.exp(minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded").x))


def apply_temperature(table: pd.DataFrame, temperature: npt.ArrayLike) -> pd.DataFrame:
    """Soften (above 1) or sharpen (below 1) the probabilities of a prediction table.

    Parameters
    ----------
    table
        A prediction table.
    temperature
        By which the logits, that is the logarithms of the probabilities, are divided: one number, or one a row.

    Returns
    -------
    DataFrame
        The table with other ``prob_`` columns. The order of the classes of a clip, and so the answer, stays.
    """
    return _divided(table, logits(probabilities(table)), temperature)


def undo_temperature(table: pd.DataFrame) -> pd.DataFrame:
    """Give back the probabilities that models had before they were divided by the temperature in the table's column.

    Parameters
    ----------
    table
        A prediction table.

    Returns
    -------
    DataFrame
        The table with other ``prob_`` columns; where the model's own were below `TINY`, they are that.
    """
    smallest = np.finfo(np.float64).tiny  # a low temperature leaves far smaller ones than models give
    return _divided(table, np.log(np.maximum(probabilities(table), smallest)), 1 / table.temperature)


def _divided(table: pd.DataFrame, values: Array, temperature: npt.ArrayLike) -> pd.DataFrame:
    shares = softmax_with_temperature(values, temperature)
    return table.assign(**{f"prob_{name}": shares[:, n] for n, name in enumerate(classes_of(table))})
