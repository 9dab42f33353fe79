"""Predictions of the segments of a recording are combined into one."""

import numpy as np
import pandas as pd
import pytest

from ser.predictions.segments import EVIDENCE_EXPONENT, combine_rows, combine_segments
from ser.predictions.temperature import apply_temperature
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]


def test_a_single_segment_is_unchanged() -> None:
    """Its probabilities are those of the recording."""
    np.testing.assert_array_equal(combine_segments([[0.2, 0.5, 0.3]], durations=[2]), [0.2, 0.5, 0.3])


def test_agreement_increases_the_confidence() -> None:
    """Log probabilities are multiplied by the number of equally long segments to the power of the exponent."""
    powers = np.array([0.2, 0.5, 0.3]) ** 4**EVIDENCE_EXPONENT
    combined = combine_segments([[0.2, 0.5, 0.3]] * 4, durations=[1, 1, 1, 1])
    np.testing.assert_allclose(combined, powers / powers.sum())


def test_longer_segments_have_more_weight() -> None:
    """The order of the segments does not matter."""
    probs, durations = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]]), np.array([3.0, 1.0])
    combined = combine_segments(probs, durations=durations)
    assert combined[0] > combined[1]
    assert combined.sum() == pytest.approx(1)
    np.testing.assert_allclose(combine_segments(probs[::-1], durations=durations[::-1]), combined)


def table() -> pd.DataFrame:
    """Predict a recording of two segments, one of them also corrupted, and a recording of one."""
    rows = factories.predicted(["happy", "happy", "happy", "sad"], ["happy", "sad", "sad", "sad"], classes=CLASSES)
    ids = ["mine/a#1", "mine/a#2", "mine/a#1+stress_telephone.1", "mine/b"]
    return rows.assign(
        clip_id=ids,
        original_id=["mine/a#1", "mine/a#2", "mine/a#1", "mine/b"],
        augmentation=["", "", "stress_telephone", ""],
        duration=[3.0, 1.0, 3.0, 2.0],
    )


RECORDINGS = pd.Series(["mine/a", "mine/a", "mine/a", "mine/b"])


def test_rows_of_a_recording_are_combined() -> None:
    """Corrupted segments are combined separately; the duration is the sum."""
    combined = combine_rows(table(), recordings=RECORDINGS)
    assert list(combined.clip_id) == ["mine/a", "mine/a+stress_telephone.1", "mine/b"]
    assert list(combined.original_id) == ["mine/a", "mine/a", "mine/b"]
    assert (list(combined.segments), list(combined.duration)) == ([2, 1, 1], [4.0, 3.0, 2.0])
    assert list(combined.predicted) == ["happy", "sad", "sad"]


def test_temperature_and_combination_commute() -> None:
    """Evaluation scales the combined prediction, inference those of segments."""
    late = apply_temperature(combine_rows(table(), recordings=RECORDINGS), 2.0)
    early = combine_rows(apply_temperature(table(), 2.0), recordings=RECORDINGS)
    pd.testing.assert_frame_equal(late, early)
