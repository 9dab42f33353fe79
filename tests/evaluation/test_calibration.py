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
    filled = calibration.reliability(calibrated()).dropna()
    assert filled.bin.to_list() == list(range(6, 16))  # the highest of three probabilities is above 1/3
    assert (filled.confidence - filled.accuracy).abs().max() < 0.05


def test_error_is_the_gap_of_confidence_and_accuracy() -> None:
    """Confidence 0.7 and accuracy 0.5 give an error of 0.2, in one bin."""
    table = factories.predicted(["sad"] * 10, ["sad"] * 5 + ["happy"] * 5, classes=CLASSES)
    assert calibration.ece(table) == pytest.approx(0.2)
    diagram = calibration.reliability(table)
    assert len(diagram) == calibration.BINS
    [row] = diagram[diagram.clips > 0].to_numpy().tolist()
    assert row == pytest.approx([11, 10 / 15, 11 / 15, 0.7, 0.5, 10])


def test_bins_are_weighted_by_clips() -> None:
    """Three clips at 0.8, one of them correct, and one at 1 (or slightly above): (3 x 7/15 + 1 x 0) / 4."""
    probs = np.array([[0.8, 0.1, 0.1]] * 3 + [[1.0000001, 0, 0]])
    table = table_of(probs, np.array([0, 1, 2, 0]))
    assert calibration.ece(table) == pytest.approx(0.35)
    assert calibration.reliability(table).clips.iloc[[11, 14]].to_list() == [3, 1]  # a bin includes its upper edge


def test_nll_matches_hand_computed_values() -> None:
    """The mean over a certain and a wrong prediction; a probability of 0 is clipped."""
    table = table_of(np.array([[1.0, 0, 0], [0.7, 0.3, 0]]), np.array([0, 1]))
    assert calibration.nll(table) == pytest.approx(-np.log(0.3) / 2)
    assert calibration.nll(table_of(np.array([[1.0, 0, 0]]), np.array([1]))) == pytest.approx(-np.log(TINY))
