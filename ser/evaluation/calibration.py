"""Measure calibration: expected calibration error, reliability diagram and log likelihood of prediction tables.

Conventions: confidence is the highest of a clip's probabilities; a model is calibrated if it is right on 70 % of the
clips for which its confidence is 0.7. Each row counts the same, so a clip that several seeds judged counts once a seed.
"""

import numpy as np
import pandas as pd

from ser.predictions.table import probabilities, true_indices
from ser.predictions.temperature import TINY

BINS = 15


def ece(table: pd.DataFrame, *, bins: int = BINS) -> float:
    """Compute the expected calibration error: how far confidence is from accuracy, on average over clips.

    Parameters
    ----------
    table
        A prediction table of one split.
    bins
        How many bins of equal width confidence is sorted into.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, equation 3.
    """
    found = reliability(table, bins=bins)
    gaps = (found.confidence - found.accuracy).abs()  # NaN where a bin is empty, which sum leaves out
    return float((gaps * found.clips).sum() / found.clips.sum())


def reliability(table: pd.DataFrame, *, bins: int = BINS) -> pd.DataFrame:
    """Compare confidence with accuracy, bin by bin.

    Parameters
    ----------
    table
        A prediction table of one split.
    bins
        How many, of equal width, each with its upper edge.

    Returns
    -------
    DataFrame
        A row a bin: bin (from 1), low and high (its edges), mean confidence, accuracy, clips (rows). Confidence and
        accuracy of an empty bin are NaN.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks.
    """
    confidence = probabilities(table).max(axis=1)
    edges = np.linspace(0, 1, bins + 1)
    number = np.clip(np.digitize(confidence, edges, right=True), 1, bins)
    right = (table.emotion == table.predicted).to_numpy()
    rows = pd.DataFrame({"bin": number, "confidence": confidence, "accuracy": right})
    grouped = rows.groupby("bin")
    found = grouped[["confidence", "accuracy"]].mean().assign(clips=grouped.size()).reindex(range(1, bins + 1))
    found = found.assign(low=edges[:-1], high=edges[1:], clips=found.clips.fillna(0).astype(int))
    return found.reset_index()[["bin", "low", "high", "confidence", "accuracy", "clips"]]


def nll(table: pd.DataFrame) -> float:
    """Compute the mean negative log likelihood of the true emotions, in nats; a probability of 0 counts as `TINY`."""
    of_truth = probabilities(table)[np.arange(len(table)), true_indices(table)]
    return float(-np.log(np.maximum(of_truth, TINY)).mean())
