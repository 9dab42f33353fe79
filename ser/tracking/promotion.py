"""Whether a model may take the champion's place. Prediction tables in, a verdict out."""

from typing import NamedTuple

import pandas as pd

from ser.evaluation import significance, summary
from ser.utils.errors import UserError

ALPHA = 0.05


class Verdict(NamedTuple):
    """Whether the candidate may, and the sentence that says why."""

    may: bool
    reason: str


def compare_with_champion(candidate: pd.DataFrame, champion: pd.DataFrame, *, resamples: int, seed: int) -> Verdict:
    """Compare two models on the same test clips.

    The candidate may not if it is shown to be worse: the interval over speakers of the difference of UAR lies below 0,
    or McNemar's exact test says that it gets fewer clips right.

    Parameters
    ----------
    candidate, champion
        Prediction tables; of several seeds, McNemar's test is of the first.
    resamples, seed
        Of the bootstrap.
    """
    a, b = summary.select_test_rows(candidate), summary.select_test_rows(champion)
    try:
        found = significance.paired_difference(a, b, resamples=resamples, seed=seed)
    except UserError as error:
        return Verdict(False, f"the two cannot be compared: {error}")
    test = significance.mcnemar(*(rows[rows.seed == rows.seed.min()] for rows in (a, b)))
    worse_by_clips = test.only_a < test.only_b and test.p < ALPHA
    worse_by_speakers = found.high < 0
    interval = "" if pd.isna(found.low) else f" (95 % interval {found.low:+.3f} to {found.high:+.3f})"
    numbers = (
        f"UAR {found.difference:+.3f}{interval}; only the candidate is right on {test.only_a} clips, only the champion "
        f"on {test.only_b} (McNemar p = {test.p:.2g})"
    )
    if worse_by_clips or worse_by_speakers:
        return Verdict(False, f"the candidate is worse than the champion: {numbers}")
    return Verdict(True, f"the candidate is not shown to be worse than the champion: {numbers}")
