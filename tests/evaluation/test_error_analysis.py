"""Test the lists of errors on eight clips."""

import pytest

from ser.evaluation import error_analysis
from tests.helpers.eight_clips import eight_clips


def test_confusions_are_ranked_by_fraction() -> None:
    """Two of three happy clips, then one of two sad ones, then one of three neutral ones."""
    table = eight_clips()
    pairs = error_analysis.most_confused_pairs(table, 5)
    assert list(pairs) == ["emotion", "predicted", "clips", "fraction"]
    assert pairs.to_numpy().tolist() == [
        ["happy", "sad", 2, pytest.approx(2 / 3)],
        ["sad", "happy", 1, 0.5],
        ["neutral", "sad", 1, pytest.approx(1 / 3)],
    ]
    assert len(error_analysis.most_confused_pairs(table, 1)) == 1
    assert error_analysis.most_confused_pairs(table.assign(predicted=table.emotion), 5).empty


def test_errors_are_ranked_by_confidence() -> None:
    """Errors are sorted by the probability of the prediction, ties by clip_id."""
    table = eight_clips()
    table.loc[6, ["prob_sad", "prob_happy"]] = [0.9, 0.05]
    errors = error_analysis.most_confident_errors(table, 3)
    assert errors.clip_id.str[-2:].to_list() == ["06", "03", "04"]
    assert errors.loc[0, ["emotion", "predicted", "confidence", "truth"]].to_list() == ["happy", "sad", 0.9, 0.05]
    assert errors.confidence[1] == pytest.approx(0.7) and errors.truth[1] == pytest.approx(0.1)
