"""Temperature scaling calibrates a model that is too sure of itself, and changes no answer."""

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
def test_the_temperature_is_found(factor: float) -> None:
    """Logits of a calibrated model that were multiplied by a factor are divided by it again."""
    sharpened = apply_temperature(calibrated(), 1 / factor)
    found = fit_temperature(sharpened)
    assert found == pytest.approx(factor, rel=0.03)
    mended = apply_temperature(sharpened, found)
    assert ece(mended) < 0.02
    assert nll(mended) <= nll(sharpened) + 1e-9


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 4.0])
def test_a_temperature_changes_no_answer(temperature: float) -> None:
    """Classes keep their order, shares add up to 1, also where some are 0, and other columns stay."""
    table = pd.concat([calibrated(500), table_of(np.eye(3), np.array([0, 1, 1]))])
    found = apply_temperature(table, temperature)
    shares = probabilities(found)
    assert (np.array(CLASSES)[shares.argmax(axis=1)] == table.predicted).all()
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(table)))
    others = [name for name in table if not name.startswith("prob_")]
    pd.testing.assert_frame_equal(found[others], table[others])
    if temperature == 1:
        assert shares == pytest.approx(probabilities(table))


@pytest.mark.parametrize("temperature", [*TEMPERATURES, 1.0])
def test_a_temperature_can_be_taken_back(temperature: float) -> None:
    """A model's own probabilities come out again, from the most extreme temperatures too; none was 0 but `TINY`."""
    table = pd.concat([calibrated(500), table_of(np.eye(3), np.array([0, 1, 1]))], ignore_index=True)
    row = np.where(np.arange(len(table)) % 2, temperature, 1.0)
    tempered = apply_temperature(table, row).assign(temperature=row)
    found = probabilities(undo_temperature(tempered))
    assert found == pytest.approx(probabilities(table), abs=1e-9)


def test_a_temperature_sees_validation_clips_only() -> None:
    """Rows of another split, and no rows, are refused."""
    table = calibrated(10)
    for rows in (table.assign(split="test"), table.assign(split=["val", "test"] * 5), table[:0]):
        with pytest.raises(UserError, match="validation clips only"):
            fit_temperature(rows)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_few_speakers_are_distrusted(factor: float) -> None:
    """The fewer speakers say that a model is too sure or not sure enough, the nearer to 1 its temperature stays."""
    found = [
        fit_temperature(apply_temperature(calibrated(speakers=speakers), 1 / factor)) for speakers in (1, 2, 10, 1000)
    ]
    off = np.abs(np.log(found))
    assert (np.sign(np.log(found)) == np.sign(np.log(factor))).all()
    assert (np.diff(off) > 0.01).all()
    assert off[0] < 0.7 * off[-1]


def test_one_voice_that_is_always_understood_makes_no_model_sure_of_all() -> None:
    """As where a corpus has two speakers, and other clips of the one that taught validate: there T would be 0."""
    table = factories.predicted(CLASSES * 50, CLASSES * 50, split="val", classes=CLASSES)
    one, many = table.assign(speaker="demo-1"), table.assign(speaker=[f"demo-{n}" for n in range(len(table))])
    assert 0.3 < fit_temperature(one) < 1
    assert TEMPERATURES[0] <= fit_temperature(many) < 0.3
