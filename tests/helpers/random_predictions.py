"""Predictions of speakers who are understood with odds of their own, and of models that are right on chosen clips."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad", "angry"]


def heard(odds: Sequence[float], *, clips: int = 10, seed: int = 0) -> pd.DataFrame:
    """Predict `clips` clips of each class and speaker, of whom each is understood with log odds of their own."""
    rng = np.random.default_rng(seed)
    true = np.tile(np.repeat(CLASSES, clips), len(odds))
    speakers = np.repeat([f"ravdess-{n:02}" for n in range(len(odds))], clips * len(CLASSES))
    right = rng.random(len(true)) < np.repeat(1 / (1 + np.exp(-np.asarray(odds))), clips * len(CLASSES))
    meant = np.tile(np.repeat(range(4), clips), len(odds))
    other = np.array(CLASSES)[(meant + rng.integers(1, 4, len(true))) % 4]
    return factories.predicted(list(true), list(np.where(right, true, other)), classes=CLASSES).assign(speaker=speakers)


def answered(table: pd.DataFrame, right: Sequence[bool]) -> pd.DataFrame:
    """Let a model be right on some clips and wrong on the others."""
    wrong = table.emotion.map(dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True)))
    return table.assign(predicted=table.emotion.where(list(right), wrong))


def seeded() -> pd.DataFrame:
    """Predict four clips with three seeds, of which 1, 2 and 3 are right."""
    clips = factories.predicted(CLASSES, CLASSES, classes=CLASSES).assign(speaker=["a", "a", "b", "b"])
    return pd.concat([answered(clips, np.arange(4) < n).assign(seed=n) for n in (1, 2, 3)])
