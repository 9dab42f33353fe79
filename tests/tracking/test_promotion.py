"""Test that a model replaces the champion only if it is not significantly worse on the same clips."""

import numpy as np
import pandas as pd
import pytest

from ser.tracking.promotion import compare_with_champion
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]


def predictions(*, accuracy: float, speakers: int = 8, clips: int = 30) -> pd.DataFrame:
    """Make predictions of which a fraction is correct, the first clips of each speaker."""
    speaker, number = np.divmod(np.arange(speakers * clips), clips)
    emotions = [CLASSES[n % 3] for n in number]
    predicted = [CLASSES[(n + (n >= round(accuracy * clips))) % 3] for n in number]
    return factories.predicted(emotions, predicted, classes=CLASSES).assign(speaker=[f"c-{n}" for n in speaker])


@pytest.mark.parametrize(("candidate", "accepted"), [(0.7, True), (0.9, True), (0.5, False)])
def test_only_a_worse_model_is_rejected(candidate: float, accepted: bool) -> None:
    """An equal and a better model are accepted, one that is 20 points worse is not."""
    tables = predictions(accuracy=candidate), predictions(accuracy=0.7)
    decision = compare_with_champion(*tables, resamples=200, seed=1)
    assert decision.accepted == accepted
    assert f"{candidate - 0.7:+.3f}" in decision.reason


def test_one_clip_is_not_significant() -> None:
    """A model with one correct clip fewer of 240 is accepted."""
    champion = predictions(accuracy=0.7)
    candidate = champion.copy()
    candidate.loc[0, "predicted"] = "sad"
    assert (candidate.emotion[0], champion.predicted[0]) == ("neutral", "neutral")
    assert compare_with_champion(candidate, champion, resamples=200, seed=1).accepted


def test_one_speaker() -> None:
    """Without an interval over speakers, McNemar's test rejects a worse model."""
    tables = predictions(accuracy=0.4, speakers=1), predictions(accuracy=1.0, speakers=1)
    decision = compare_with_champion(*tables, resamples=200, seed=1)
    assert not decision.accepted
    assert "95 % CI" not in decision.reason


def test_incomparable_tables_are_rejected() -> None:
    """A model is rejected if it was tested on other clips, or a table has other columns."""
    candidate, champion = predictions(accuracy=0.9), predictions(accuracy=0.1)
    renamed = champion.rename(columns={"split": "part"})
    for other, reason in ((predictions(accuracy=0.1, clips=27), "differ"), (renamed, "split")):
        decision = compare_with_champion(candidate, other, resamples=200, seed=1)
        assert not decision.accepted
        assert reason in decision.reason
