"""Test that temperature scaling calibrates overconfident models and does not change predictions."""

import numpy as np
import pandas as pd
import pytest

from ser.evaluation.calibration import ece, nll
from ser.predictions.table import probabilities
from ser.predictions.temperature import TEMPERATURES, apply_temperature, fit_temperature, undo_temperature
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.calibrated_predictions import CLASSES, calibrated, table_of


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_fit_recovers_the_factor_of_logits(factor: float) -> None:
    """If the logits of a calibrated model are multiplied by a factor, it is the temperature."""
    sharpened = apply_temperature(calibrated(), 1 / factor)
    temperature = fit_temperature(sharpened)
    assert temperature == pytest.approx(factor, rel=0.03)
    scaled = apply_temperature(sharpened, temperature)
    assert ece(scaled) < 0.02
    assert nll(scaled) <= nll(sharpened) + 1e-9


@pytest.mark.parametrize("temperature", [*TEMPERATURES, 0.1, 0.7, 1.0, 4.0])
def test_scaling_keeps_predictions_and_can_be_undone(temperature: float) -> None:
    """Probabilities sum to 1, also if some are 0; other columns do not change."""
    table = pd.concat([calibrated(500), table_of(np.eye(3), np.array([0, 1, 1]))], ignore_index=True)
    row = np.where(np.arange(len(table)) % 2, temperature, 1.0)
    scaled = apply_temperature(table, row)
    probs = probabilities(scaled)
    assert (np.array(CLASSES)[probs.argmax(axis=1)] == table.predicted).all()
    assert probs.sum(axis=1) == pytest.approx(np.ones(len(table)))
    others = [name for name in table if not name.startswith("prob_")]
    pd.testing.assert_frame_equal(scaled[others], table[others])
    undone = undo_temperature(scaled.assign(temperature=row))
    assert probabilities(undone) == pytest.approx(probabilities(table), abs=1e-9)


def test_fit_rejects_other_splits() -> None:
    """Only rows of the split val are valid, and at least one."""
    table = calibrated(10)
    for rows in (table.assign(split="test"), table.assign(split=["val", "test"] * 5), table[:0]):
        with pytest.raises(UserError, match="val only"):
            fit_temperature(rows)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_few_speakers_keep_the_temperature_near_one(factor: float) -> None:
    """The fewer validation speakers, the nearer to 1 is the temperature."""
    tables = [apply_temperature(calibrated(speakers=speakers), 1 / factor) for speakers in (1, 10, 1000)]
    logs = np.log([fit_temperature(table) for table in tables])
    assert set(np.sign(logs)) <= {0, np.sign(np.log(factor))}
    assert (np.diff(np.abs(logs)) > 0.01).all()
    assert abs(logs[0]) < 0.7 * abs(logs[-1])


@pytest.mark.parametrize("speakers", [1, 2, 10, 1000])
def test_calibration_error_does_not_rise(speakers: int) -> None:
    """Confidences of 0.8 are kept if 80 % are correct, although the true class of the others has probability 0."""
    true = np.arange(1000) % 3
    probs = np.full((1000, 3), [0.8, 0.2, 0.0])[np.arange(1000)[:, None], (np.arange(3) - true[:, None]) % 3]
    wrong = np.arange(1000) % 5 == 0
    probs[wrong] = np.roll(probs[wrong], 1, axis=1)
    table = table_of(probs, true).assign(speaker=[f"demo-{clip % speakers}" for clip in range(1000)])
    assert ece(table) < 0.01
    assert nll(apply_temperature(table, 5)) < nll(table) - 1
    assert fit_temperature(table) == 1


def test_one_speaker_with_perfect_predictions() -> None:
    """The temperature is not at its lower bound, as it is with many speakers."""
    table = factories.predicted(CLASSES * 50, CLASSES * 50, split="val", classes=CLASSES)
    speakers = [f"demo-{n}" for n in range(len(table))]
    assert 0.3 < fit_temperature(table.assign(speaker="demo-1")) < 1
    assert TEMPERATURES[0] <= fit_temperature(table.assign(speaker=speakers)) < 0.3
