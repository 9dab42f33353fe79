"""Two kinds of altered copies: of training clips, to learn from, and of test clips, to see what disturbs a model."""

import pandas as pd

STRESS = "stress_"
"""How `augmentation` begins in the rows of copies that are made for testing only."""


def for_testing(clips: pd.DataFrame) -> "pd.Series[bool]":
    """Say which rows of a table with the column `augmentation` are copies for testing only."""
    return clips.augmentation.str.startswith(STRESS).astype(bool)
