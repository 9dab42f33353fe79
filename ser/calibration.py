"""Whether probabilities mean what they say. Prediction tables in, numbers and tables out.

Conventions: confidence is the highest of a clip's probabilities; a model is calibrated if it is right on 70 % of the
clips for which its confidence is 0.7. Each row counts the same, so a clip that several seeds judged counts once a seed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize_scalar

from ser.errors import InputError
from ser.predictions import classes_of
from ser.temperature import TINY, divide, log_softmax, logits

Array = npt.NDArray[np.floating[Any]]

BINS = 15
TEMPERATURES = (0.05, 20.0)
"""Where a temperature is looked for."""
DISTRUST = 0.2
"""How many nats a temperature of e, or of 1/e, must gain a clip of one speaker to be worth it."""


def probabilities(table: pd.DataFrame) -> Array:
    """Take the probabilities out of a prediction table: (rows, classes), classes in canonical order."""
    return table[[f"p_{name}" for name in classes_of(table)]].to_numpy(dtype=np.float64)


def ece(table: pd.DataFrame, *, bins: int = BINS) -> float:
    """Compute the expected calibration error: how far confidence is from accuracy, on average over clips.

    Parameters
    ----------
    table
        A prediction table of one part.
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
        A prediction table of one part.
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
    return float(-np.log(np.maximum(_of_truth(table), TINY)).mean())


def brier(table: pd.DataFrame) -> float:
    """Compute the mean squared distance of probabilities from the truth, summed over classes: from 0 to 2.

    References
    ----------
    Brier (1950), Verification of forecasts expressed in terms of probability.
    """
    shares = probabilities(table)
    truth = table.emotion.to_numpy()[:, None] == np.array(classes_of(table))
    return float(((shares - truth) ** 2).sum(axis=1).mean())


def _of_truth(table: pd.DataFrame) -> Array:
    return probabilities(table)[np.arange(len(table)), _truth(table)]


def _truth(table: pd.DataFrame) -> npt.NDArray[np.integer[Any]]:
    return pd.Categorical(table.emotion, categories=classes_of(table)).codes.astype(np.intp)


# Temperature ----------------------------------------------------------------------------------------------------------


def fit_temperature(table: pd.DataFrame) -> float:
    """Find the temperature under which validation clips are likeliest, and nearer to 1 the fewer their speakers are.

    What makes a model right on one or two voices says little of others, and less if the voice is known from training,
    as where a corpus has only two. So the mean negative log likelihood plus `DISTRUST` / speakers * |ln(T)| is made
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
    InputError
        If there are no rows or some are of another part than val: a temperature that saw a test clip flatters.

    References
    ----------
    Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    """
    parts = sorted(table.part.unique())
    if parts != ["val"]:
        raise InputError(
            f"temperature: fitted on validation clips only, found rows of {', '.join(parts) or 'no part'}; "
            'pass table[table.part == "val"].'
        )
    shares, truth = probabilities(table), _truth(table)
    rows, distrust = np.arange(len(truth)), DISTRUST / table.speaker.nunique()

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
        The table with other p columns. The order of the classes of a clip, and so the answer, stays.
    """
    return _divided(table, logits(probabilities(table)), temperature)


def without_temperature(table: pd.DataFrame) -> pd.DataFrame:
    """Give back the probabilities that models had before they were divided by the temperature in the table's column.

    Parameters
    ----------
    table
        A prediction table.

    Returns
    -------
    DataFrame
        The table with other p columns; where the model's own were below `TINY`, they are that.
    """
    smallest = np.finfo(np.float64).tiny  # a low temperature leaves far smaller ones than models give
    return _divided(table, np.log(np.maximum(probabilities(table), smallest)), 1 / table.temperature)


def _divided(table: pd.DataFrame, values: Array, temperature: npt.ArrayLike) -> pd.DataFrame:
    shares = divide(values, temperature)
    return table.assign(**{f"p_{name}": shares[:, n] for n, name in enumerate(classes_of(table))})
