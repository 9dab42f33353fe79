"""Clips drawn from their own probabilities are calibrated, and by how much others are not is known."""

import numpy as np
import pytest

from ser.evaluation import calibration
from ser.predictions.temperature import TINY
from tests.helpers import factories
from tests.helpers.calibrated_predictions import CLASSES, calibrated, table_of


def test_a_calibrated_model_has_no_error() -> None:
    """In each bin, confidence is accuracy, but for chance."""
    assert calibration.ece(calibrated()) < 0.02
    filled = calibration.reliability(calibrated(), bins=10).dropna()
    assert filled.bin.to_list() == [4, 5, 6, 7, 8, 9, 10]  # the highest of three shares is above 1/3
    assert (filled.confidence - filled.accuracy).abs().max() < 0.05


def test_overconfidence_is_its_gap() -> None:
    """A model that says 0.7 and is right on half of its clips errs by 0.2, in one bin, whatever the bins."""
    table = factories.predicted(["sad"] * 10, ["sad"] * 5 + ["happy"] * 5, classes=CLASSES)
    for bins in (1, 10, 15):
        assert calibration.ece(table, bins=bins) == pytest.approx(0.2)
    found = calibration.reliability(table, bins=10)
    assert found.bin.to_list() == list(range(1, 11))
    assert found[["low", "high"]].iloc[6].to_list() == pytest.approx([0.6, 0.7])
    row = found[found.clips > 0]
    assert row[["bin", "confidence", "accuracy", "clips"]].to_numpy().tolist() == [[7, pytest.approx(0.7), 0.5, 10]]


def test_bins_are_weighed_by_their_clips() -> None:
    """Three clips at 0.5, one of them right, and one at 1: (3 x 1/6 + 1 x 0) / 4; a share a touch above 1 is 1."""
    shares = np.array([[0.5, 0.3, 0.2]] * 3 + [[1.0000001, 0, 0]])
    table = table_of(shares, np.array([0, 1, 2, 0]))
    assert calibration.ece(table) == pytest.approx(0.125)
    assert calibration.reliability(table, bins=2).clips.to_list() == [3, 1]  # a bin holds its upper edge


def test_scores_by_hand() -> None:
    """Two clips: one certain and right, one that gives the truth 0.3."""
    table = table_of(np.array([[1.0, 0, 0], [0.7, 0.3, 0]]), np.array([0, 1]))
    assert calibration.nll(table) == pytest.approx(-np.log(0.3) / 2)
    assert calibration.nll(table_of(np.array([[1.0, 0, 0]]), np.array([1]))) == pytest.approx(-np.log(TINY))
