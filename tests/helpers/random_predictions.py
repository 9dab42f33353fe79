"""Random predictions of speakers with given accuracies, and predictions that are correct on given clips."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad", "angry"]


def random_predictions(log_odds: Sequence[float], *, clips: int = 10, seed: int = 0) -> pd.DataFrame:
    """Predict `clips` clips per class and speaker; `log_odds` of each speaker are those of a correct prediction."""
    rng = np.random.default_rng(seed)
    true = np.tile(np.repeat(CLASSES, clips), len(log_odds))
    speakers = np.repeat([f"ravdess-{n:02}" for n in range(len(log_odds))], clips * len(CLASSES))
    correct = rng.random(len(true)) < np.repeat(1 / (1 + np.exp(-np.asarray(log_odds))), clips * len(CLASSES))
    index = np.tile(np.repeat(range(4), clips), len(log_odds))
    other = np.array(CLASSES)[(index + rng.integers(1, 4, len(true))) % 4]
    table = factories.predicted(list(true), list(np.where(correct, true, other)), classes=CLASSES)
    return table.assign(speaker=speakers)


def correct_where(table: pd.DataFrame, correct: Sequence[bool]) -> pd.DataFrame:
    """Replace the predictions by correct and wrong ones."""
    wrong = table.emotion.map(dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True)))
    return table.assign(predicted=table.emotion.where(list(correct), wrong))


def three_seeds() -> pd.DataFrame:
    """Predict four clips with three seeds, of which 1, 2 and 3 are correct."""
    clips = factories.predicted(CLASSES, CLASSES, classes=CLASSES).assign(speaker=["a", "a", "b", "b"])
    return pd.concat([correct_where(clips, np.arange(4) < n).assign(seed=n) for n in (1, 2, 3)])
