"""Predictions with calibrated probabilities."""

import numpy as np
import pandas as pd

from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]


def table_of(probs: np.ndarray, true: np.ndarray, *, split: str = "val") -> pd.DataFrame:
    names = np.array(CLASSES)
    table = factories.predicted(list(names[true]), list(names[probs.argmax(axis=1)]), split=split, classes=CLASSES)
    return table.assign(**{f"prob_{name}": probs[:, n] for n, name in enumerate(CLASSES)})


def calibrated(n: int = 20_000, *, speakers: int = 1000) -> pd.DataFrame:
    """Draw the emotion of each clip from the predicted probabilities, for speakers in turn."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), size=n)
    true = (rng.random((n, 1)) > probs.cumsum(axis=1)).sum(axis=1)
    return table_of(probs, np.minimum(true, 2)).assign(speaker=[f"demo-{clip % speakers}" for clip in range(n)])
