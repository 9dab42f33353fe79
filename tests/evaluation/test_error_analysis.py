"""Errors of eight clips, in the order of their frequency and of their confidence."""

import pytest

from ser.evaluation import error_analysis
from tests.helpers.eight_clips import heard


def test_confused_pairs_are_ranked_by_share() -> None:
    """Two of three happy clips, then one of two sad ones, then one of three neutral ones."""
    found = error_analysis.most_confused_pairs(heard(), 5)
    assert list(found) == ["emotion", "predicted", "clips", "share"]
    assert found.to_numpy().tolist() == [
        ["happy", "sad", 2, pytest.approx(2 / 3)],
        ["sad", "happy", 1, 0.5],
        ["neutral", "sad", 1, pytest.approx(1 / 3)],
    ]
    assert len(error_analysis.most_confused_pairs(heard(), 1)) == 1
    assert error_analysis.most_confused_pairs(heard().assign(predicted=heard().emotion), 5).empty


def test_the_surest_errors_come_first() -> None:
    """Wrong answers only, by the probability of the answer, equal ones by name."""
    table = heard()
    table.loc[6, ["prob_sad", "prob_happy"]] = [0.9, 0.05]
    found = error_analysis.most_confident_errors(table, 3)
    assert found.clip_id.str[-2:].to_list() == ["06", "03", "04"]
    assert found.loc[0, ["emotion", "predicted", "confidence", "truth"]].to_list() == ["happy", "sad", 0.9, 0.05]
    assert found.confidence[1] == pytest.approx(0.7) and found.truth[1] == pytest.approx(0.1)
