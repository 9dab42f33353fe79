"""What sound a frame of speech is likely of, among classes of sounds that were found once, in synthetic speech.

How a frame sounds depends more on what is said than on how: an s has another spectrum than an a in any mood. Where
frames are compared with others of the same class, what is said counts less, and how it is said counts more. The classes
are made by tools/make_acoustic_classes.py.
"""

from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Posteriors: TypeAlias = npt.NDArray[np.floating[Any]]

COEFFICIENTS = 12
"""MFCC that tell sounds apart, from the first on; the zeroth is the level."""
SMALLEST = 1e-3
"""Deviation that a coefficient has at least, or one that never changes would be divided by 0."""
CENTROIDS = Path(__file__).with_name("acoustic_classes.csv")
"""The classes, one per row, one column per coefficient: written by tools/make_acoustic_classes.py, not by hand."""


@cache
def centroids() -> npt.NDArray[np.float64]:
    """Read the centroids of the classes: (classes, coefficients), read-only."""
    values = np.loadtxt(CENTROIDS, delimiter=",", skiprows=1)
    values.flags.writeable = False
    return values


def cmvn(cepstra: Posteriors) -> Posteriors:
    """Take a clip's mean and deviation out of each coefficient, and so much of its voice: (frames, coefficients)."""
    return np.asarray((cepstra - cepstra.mean(axis=0)) / (cepstra.std(axis=0) + SMALLEST))


def posteriors(cepstra: Posteriors) -> Posteriors:
    """Say how likely each frame is of each class.

    Parameters
    ----------
    cepstra : (frames, coefficients)
        MFCC of a clip, from the first on. Those beyond `COEFFICIENTS` do not count; where there are fewer, these do.

    Returns
    -------
    (frames, classes)
        Shares, 1 together in each frame.

    References
    ----------
    Reynolds & Rose (1995), Robust text-independent speaker identification using Gaussian mixture speaker models,
    doi:10.1109/89.365379: here of equal weights and variances.
    """
    own = cmvn(cepstra[:, :COEFFICIENTS])
    centres = centroids().astype(own.dtype)[:, : own.shape[1]]
    nearness = own @ centres.T - np.square(centres).sum(axis=1) / 2  # what all classes have in common is left out
    shares = np.exp(nearness - nearness.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
