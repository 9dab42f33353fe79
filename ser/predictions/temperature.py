"""Scale probabilities by a temperature, and fit it.

Inference imports this module, so it imports only NumPy, and SciPy within `minimize_nll`.
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
"""Lower bound of probabilities before taking the logarithm."""
TEMPERATURES = (0.05, 20.0)
"""Bounds of the fitted temperature."""
TEMPERATURE_PENALTY = 0.2
"""Weight of the prior on |ln(T)|, and required improvement of the mean negative log-likelihood, with one speaker."""
BINS = 15
"""Bins of the confidence, of equal width."""


def logits(probs: Array) -> Array:
    """Compute the logarithms of (rows, classes) probabilities."""
    return np.log(np.maximum(probs, TINY))


def log_softmax(values: Array) -> Array:
    """Convert (rows, classes) logits to log probabilities."""
    shifted = values - values.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax_with_temperature(values: Array, temperature: npt.ArrayLike) -> Array:
    """Convert (rows, classes) logits to probabilities at a temperature: one number, or one per row."""
    return np.exp(log_softmax(values / np.asarray(temperature, dtype=np.float64).reshape(-1, 1)))


def minimize_nll(values: Array, true: npt.NDArray[np.integer[Any]], *, penalty: float = 0.0) -> float:
    """Find the temperature that minimizes the mean negative log-likelihood, in nats, plus a penalty * abs(ln(T)).

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_classes)
        Logits or decision values; -inf for classes that a model does not know. Rows of such classes are ignored.
    true : ndarray of shape (n_rows,)
        Index of the true class of each row.
    penalty : float

    Returns
    -------
    float
        Temperature within `TEMPERATURES`.
    """
    from scipy.optimize import minimize_scalar

    known = np.isfinite(values[np.arange(len(true)), true])
    values, true = values[known], true[known]

    def loss(log_temperature: float) -> float:
        log_probs = log_softmax(values / np.exp(log_temperature))
        return float(-log_probs[np.arange(len(true)), true].mean()) + penalty * abs(log_temperature)

    if not len(true):
        return 1.0
    return float(np.exp(minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded").x))


def fit_temperature(table: pd.DataFrame) -> float:
    """Fit the temperature on validation clips, or return 1 if that is not better calibrated.

    Parameters
    ----------
    table : DataFrame
        Validation rows of one fitted model, that is of one fold and seed.

    Returns
    -------
    float
        Temperature within `TEMPERATURES`; above 1 if the model is overconfident.

    Raises
    ------
    UserError
        If there are no rows, or rows of another split than val, as test clips must not be used.

    Notes
    -----
    Minimizes the mean negative log-likelihood plus `TEMPERATURE_PENALTY` / n_speakers * |ln(T)|, a Laplace prior on
    ln(T). With few validation speakers, the fit generalizes poorly, so the prior is stronger. The result is 1 unless
    the expected calibration error of these clips falls, too.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    """
    splits = sorted(table.split.unique())
    if splits != ["val"]:
        raise UserError(
            f"temperature: expected rows of the split val only, found {', '.join(splits) or 'no rows'}; "
            'pass table[table.split == "val"].'
        )
    values, true = logits(probabilities(table)), true_indices(table)
    penalty = TEMPERATURE_PENALTY / table.speaker.nunique()
    temperature = minimize_nll(values, true, penalty=penalty)

    def error(temperature: float) -> float:
        probs = softmax_with_temperature(values, temperature)
        return calibration_error(probs.max(axis=1), probs.argmax(axis=1) == true)

    return temperature if error(temperature) < error(1) else 1.0


def confidence_bins(confidence: Array) -> npt.NDArray[np.intp]:
    """Find the bin of each confidence, from 1 to `BINS`; a bin includes its upper edge."""
    return np.clip(np.digitize(confidence, np.linspace(0, 1, BINS + 1), right=True), 1, BINS)


def calibration_error(confidence: Array, correct: npt.NDArray[np.bool_]) -> float:
    """Compute the expected calibration error of (rows,) confidences: see `ser.evaluation.calibration.ece`."""
    return float(np.abs(np.bincount(confidence_bins(confidence), weights=confidence - correct)).sum() / len(confidence))


def apply_temperature(table: pd.DataFrame, temperature: npt.ArrayLike) -> pd.DataFrame:
    """Divide the logits of a prediction table by a temperature: one number, or one per row.

    The order of the classes of a clip, and so its prediction, does not change.
    """
    return _with_temperature(table, logits(probabilities(table)), temperature)


def undo_temperature(table: pd.DataFrame) -> pd.DataFrame:
    """Restore the probabilities before temperature scaling, from the column temperature of a prediction table."""
    smallest = np.finfo(np.float64).tiny  # a low temperature results in values far below `TINY`
    return _with_temperature(table, np.log(np.maximum(probabilities(table), smallest)), 1 / table.temperature)


def _with_temperature(table: pd.DataFrame, values: Array, temperature: npt.ArrayLike) -> pd.DataFrame:
    probs = softmax_with_temperature(values, temperature)
    return table.assign(**{f"prob_{name}": probs[:, n] for n, name in enumerate(classes_of(table))})
