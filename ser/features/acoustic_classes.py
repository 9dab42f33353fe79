"""Compute the posterior probabilities of acoustic classes, a codebook of centroids in the space of MFCC.

The spectrum of a frame depends more on the phone than on the emotion. Comparisons within a class of similar phones
reduce the effect of the spoken text. The codebook is made by tools/make_acoustic_classes.py.
"""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser.features.columns import Floats

N_COEFFICIENTS = 12
"""Number of MFCC, from the first on; the zeroth is the level."""
MIN_STD = 1e-3
"""Added to standard deviations, so that a constant coefficient is not divided by 0."""
CENTROIDS = Path(__file__).with_name("acoustic_classes.csv")
"""One row per class, one column per coefficient; generated, not to be edited."""


@cache
def centroids() -> npt.NDArray[np.float64]:
    """Read the centroids: a read-only array of shape (n_classes, n_coefficients)."""
    values = np.loadtxt(CENTROIDS, delimiter=",", skiprows=1)
    values.flags.writeable = False
    return values


def cmvn(mfcc: Floats) -> Floats:
    """Normalize the mean and variance of each coefficient over a clip: (n_frames, n_coefficients)."""
    return np.asarray((mfcc - mfcc.mean(axis=0)) / (mfcc.std(axis=0) + MIN_STD))


def posteriors(mfcc: Floats) -> Floats:
    """Compute the posterior probability of each acoustic class in each frame of a clip.

    The model is a Gaussian mixture of equal weights and equal spherical covariances, after `cmvn`.

    Parameters
    ----------
    mfcc : ndarray of shape (n_frames, n_coefficients)
        MFCC without the zeroth. Coefficients beyond `N_COEFFICIENTS` are ignored; there may be fewer.

    Returns
    -------
    ndarray of shape (n_frames, n_classes)
        Probabilities, which sum to 1 in each frame.

    References
    ----------
    Reynolds & Rose (1995), Robust text-independent speaker identification using Gaussian mixture speaker models,
    doi:10.1109/89.365379.
    """
    normalized = cmvn(mfcc[:, :N_COEFFICIENTS])
    means = centroids().astype(normalized.dtype)[:, : normalized.shape[1]]
    log_likelihood = normalized @ means.T - np.square(means).sum(axis=1) / 2  # without the term equal for all classes
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    return np.asarray(likelihood / likelihood.sum(axis=1, keepdims=True))
