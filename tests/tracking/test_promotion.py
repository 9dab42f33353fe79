"""The champion is replaced only by a model that is not significantly worse on the same clips."""

import numpy as np
import pandas as pd
import pytest

from ser.tracking.promotion import compare_with_champion
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]


def model(*, right: float, speakers: int = 8, clips: int = 30) -> pd.DataFrame:
    """Make predictions of which a share is right, the same clips of every speaker first."""
    speaker, number = np.divmod(np.arange(speakers * clips), clips)
    truth = [CLASSES[n % 3] for n in number]
    answers = [CLASSES[(n + (n >= round(right * clips))) % 3] for n in number]
    return factories.predicted(truth, answers, classes=CLASSES).assign(speaker=[f"c-{n}" for n in speaker])


@pytest.mark.parametrize(("candidate", "accepted"), [(0.7, True), (0.9, True), (0.5, False)])
def test_only_a_worse_model_is_refused(candidate: float, accepted: bool) -> None:
    """The same model and a better one are accepted, one of 20 points less is not, and the reason has the numbers."""
    found = compare_with_champion(model(right=candidate), model(right=0.7), resamples=200, seed=1)
    assert found.accepted == accepted
    assert f"UAR {candidate - 0.7:+.3f}" in found.reason


def test_noise_is_no_reason() -> None:
    """One clip fewer of 240 is not significantly worse."""
    champion = model(right=0.7)
    candidate = champion.copy()
    first = candidate.index[candidate.emotion == candidate.predicted][0]
    candidate.loc[first, "predicted"] = "sad" if candidate.emotion[first] != "sad" else "happy"
    assert compare_with_champion(candidate, champion, resamples=200, seed=1).accepted


def test_with_one_speaker_clips_decide() -> None:
    """Where there is no interval over speakers, McNemar's test still refuses what is far worse."""
    found = compare_with_champion(model(right=0.4, speakers=1), model(right=1.0, speakers=1), resamples=200, seed=1)
    assert not found.accepted
    assert "95 % CI" not in found.reason


def test_other_clips_cannot_be_compared() -> None:
    """A model that was tested on other clips is refused, and the sentence says that they differ."""
    found = compare_with_champion(model(right=0.9, clips=27), model(right=0.1), resamples=200, seed=1)
    assert not found.accepted
    assert "cannot be compared" in found.reason
    assert "differ" in found.reason


def test_a_table_of_an_earlier_version_is_refused() -> None:
    """Predictions with other columns are not compared, and the reason names the columns."""
    champion = model(right=0.7).rename(columns={"split": "part"})
    found = compare_with_champion(model(right=0.9), champion, resamples=200, seed=1)
    assert not found.accepted
    assert "predictions of the champion: columns split are missing" in found.reason
