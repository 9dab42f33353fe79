"""Measure calibration: expected calibration error, reliability diagram and negative log-likelihood.

The confidence of a prediction is its highest probability. A model is calibrated if its accuracy is 70 % on the clips
with a confidence of 0.7. Tables are prediction tables of one split; with several seeds, a clip counts once per seed.
"""

import numpy as np
import pandas as pd

from ser.predictions.table import probabilities, true_indices
from ser.predictions.temperature import BINS, TINY, calibration_error, confidence_bins


def ece(table: pd.DataFrame) -> float:
    """Compute the expected calibration error: the mean absolute difference of confidence and accuracy, in `BINS` bins.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, equation 3.
    """
    return calibration_error(probabilities(table).max(axis=1), (table.emotion == table.predicted).to_numpy())


def reliability(table: pd.DataFrame) -> pd.DataFrame:
    """Compute the reliability diagram: confidence and accuracy in `BINS` bins of equal width.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split.

    Returns
    -------
    DataFrame
        One row per bin: bin (from 1), low and high (its edges, of which it includes the upper), mean confidence,
        accuracy, clips (rows). Confidence and accuracy of an empty bin are NaN.
    """
    confidence = probabilities(table).max(axis=1)
    edges, correct = np.linspace(0, 1, BINS + 1), (table.emotion == table.predicted).to_numpy()
    columns = {"bin": confidence_bins(confidence), "confidence": confidence, "accuracy": correct}
    grouped = pd.DataFrame(columns).groupby("bin")
    diagram = grouped[["confidence", "accuracy"]].mean().assign(clips=grouped.size()).reindex(range(1, BINS + 1))
    diagram = diagram.assign(low=edges[:-1], high=edges[1:], clips=diagram.clips.fillna(0).astype(int))
    return diagram.reset_index()[["bin", "low", "high", "confidence", "accuracy", "clips"]]


def nll(table: pd.DataFrame) -> float:
    """Compute the mean negative log-likelihood of the true emotions, in nats; probabilities are clipped to `TINY`."""
    true_class_probability = probabilities(table)[np.arange(len(table)), true_indices(table)]
    return float(-np.log(np.maximum(true_class_probability, TINY)).mean())
