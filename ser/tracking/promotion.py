"""Decide from prediction tables whether a model may replace the champion."""

from typing import NamedTuple

import pandas as pd

from ser.evaluation import significance, summary
from ser.predictions.table import validate
from ser.utils.errors import UserError

ALPHA = 0.05


class PromotionDecision(NamedTuple):
    """Decision on a candidate, and its reason."""

    accepted: bool
    reason: str


def compare_with_champion(
    candidate: pd.DataFrame, champion: pd.DataFrame, *, resamples: int, seed: int
) -> PromotionDecision:
    """Compare two models on the same test clips.

    The candidate is rejected if it is significantly worse: the confidence interval over speakers of the UAR difference
    lies below 0, or McNemar's exact test finds fewer correct clips.

    Parameters
    ----------
    candidate, champion : DataFrame
        Prediction tables; McNemar's test uses the first seed.
    resamples, seed : int
        Number of bootstrap resamples, and their seed.
    """
    try:
        for name, table in (("the candidate", candidate), ("the champion", champion)):
            validate(table, name=name)
        a, b = summary.select_test_rows(candidate), summary.select_test_rows(champion)
        uar = significance.paired_difference(a, b, resamples=resamples, seed=seed)
    except UserError as error:
        return PromotionDecision(False, f"the models cannot be compared: {error}")
    test = significance.mcnemar(a, b)
    interval = "" if pd.isna(uar.ci_low) else f" (95 % CI {uar.ci_low:+.3f} to {uar.ci_high:+.3f})"
    reason = (
        f"UAR {uar.difference:+.3f}{interval}; {test.only_a} clips are correct for the candidate only, {test.only_b} "
        f"for the champion only (McNemar p = {test.p:.2g})"
    )
    worse = uar.ci_high < 0 or (test.only_a < test.only_b and test.p < ALPHA)
    return PromotionDecision(not worse, f"{'' if worse else 'not '}significantly worse than the champion: {reason}")
