"""Test calibration measures on calibrated predictions and on predictions with known errors."""

import numpy as np
import pytest

from ser.evaluation import calibration
from ser.predictions.temperature import TINY
from tests.helpers import factories
from tests.helpers.calibrated_predictions import CLASSES, calibrated, table_of


def test_calibrated_model_has_no_error() -> None:
    """In each bin, confidence is close to accuracy."""
    assert calibration.ece(calibrated()) < 0.02
    filled = calibration.reliability(calibrated(), bins=10).dropna()
    assert filled.bin.to_list() == [4, 5, 6, 7, 8, 9, 10]  # the highest of three probabilities is above 1/3
    assert (filled.confidence - filled.accuracy).abs().max() < 0.05


def test_error_is_the_gap_of_confidence_and_accuracy() -> None:
    """Confidence 0.7 and accuracy 0.5 give an error of 0.2, in one bin, for any number of bins."""
    table = factories.predicted(["sad"] * 10, ["sad"] * 5 + ["happy"] * 5, classes=CLASSES)
    for bins in (1, 10, 15):
        assert calibration.ece(table, bins=bins) == pytest.approx(0.2)
    diagram = calibration.reliability(table, bins=10)
    assert diagram.bin.to_list() == list(range(1, 11))
    assert diagram[["low", "high"]].iloc[6].to_list() == pytest.approx([0.6, 0.7])
    row = diagram[diagram.clips > 0]
    assert row[["bin", "confidence", "accuracy", "clips"]].to_numpy().tolist() == [[7, pytest.approx(0.7), 0.5, 10]]


def test_bins_are_weighted_by_clips() -> None:
    """Three clips at 0.5, one of them correct, and one at 1 (or slightly above): (3 x 1/6 + 1 x 0) / 4."""
    probs = np.array([[0.5, 0.3, 0.2]] * 3 + [[1.0000001, 0, 0]])
    table = table_of(probs, np.array([0, 1, 2, 0]))
    assert calibration.ece(table) == pytest.approx(0.125)
    assert calibration.reliability(table, bins=2).clips.to_list() == [3, 1]  # a bin includes its upper edge


def test_nll_matches_hand_computed_values() -> None:
    """The mean over a certain and a wrong prediction; a probability of 0 is clipped."""
    table = table_of(np.array([[1.0, 0, 0], [0.7, 0.3, 0]]), np.array([0, 1]))
    assert calibration.nll(table) == pytest.approx(-np.log(0.3) / 2)
    assert calibration.nll(table_of(np.array([[1.0, 0, 0]]), np.array([1]))) == pytest.approx(-np.log(TINY))
