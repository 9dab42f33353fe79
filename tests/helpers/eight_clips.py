"""Predictions of eight clips, for metrics computed by hand."""

import pandas as pd

from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad", "angry"]


def eight_clips() -> pd.DataFrame:
    """Predict eight clips: 3 of 4 are correct for speaker a (female), 1 of 4 for speaker b (male)."""
    true = ["neutral", "neutral", "sad", "sad", "neutral", "happy", "happy", "happy"]
    predicted = ["neutral", "neutral", "sad", "happy", "sad", "happy", "sad", "sad"]
    table = factories.predicted(true, predicted, classes=CLASSES)
    return table.assign(speaker=list("aaaabbbb"), sex=list("ffffmmmm"), duration=[0.5, 1, 1.5, 2, 5, 9, 4.9, 3])
