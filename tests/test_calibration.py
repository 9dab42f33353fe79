"""Clips drawn from their own probabilities are calibrated, and by how much others are not is known."""

import numpy as np
import pandas as pd
import pytest
import tables

from ser import calibration
from ser.errors import InputError

CLASSES = ["neutral", "happy", "sad"]


def table_of(shares: np.ndarray, true: np.ndarray, *, part: str = "val") -> pd.DataFrame:
    names = np.array(CLASSES)
    table = tables.predicted(list(names[true]), list(names[shares.argmax(axis=1)]), part=part, classes=CLASSES)
    return table.assign(**{f"p_{name}": shares[:, n] for n, name in enumerate(CLASSES)})


def calibrated(n: int = 20_000, *, speakers: int = 1000) -> pd.DataFrame:
    """Draw each clip's emotion from the probabilities that the model gives; speakers take turns."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), size=n)
    true = (rng.random((n, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return table_of(shares, np.minimum(true, 2)).assign(speaker=[f"demo-{clip % speakers}" for clip in range(n)])


def test_a_calibrated_model_has_no_error() -> None:
    """In each bin, confidence is accuracy, but for chance."""
    assert calibration.ece(calibrated()) < 0.02
    filled = calibration.reliability(calibrated(), bins=10).dropna()
    assert filled.bin.to_list() == [4, 5, 6, 7, 8, 9, 10]  # the highest of three shares is above 1/3
    assert (filled.confidence - filled.accuracy).abs().max() < 0.05


def test_overconfidence_is_its_gap() -> None:
    """A model that says 0.7 and is right on half of its clips errs by 0.2, in one bin, whatever the bins."""
    table = tables.predicted(["sad"] * 10, ["sad"] * 5 + ["happy"] * 5, classes=CLASSES)
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
    assert calibration.brier(table) == pytest.approx((0.7**2 + 0.7**2) / 2)
    assert calibration.nll(table_of(np.array([[1.0, 0, 0]]), np.array([1]))) == pytest.approx(-np.log(calibration.TINY))


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(factor: float) -> None:
    """Logits of a calibrated model that were multiplied by a factor are divided by it again."""
    sharpened = calibration.apply_temperature(calibrated(), 1 / factor)
    found = calibration.fit_temperature(sharpened)
    assert found == pytest.approx(factor, rel=0.03)
    mended = calibration.apply_temperature(sharpened, found)
    assert calibration.ece(mended) < 0.02
    assert calibration.nll(mended) <= calibration.nll(sharpened) + 1e-9


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 4.0])
def test_a_temperature_changes_no_answer(temperature: float) -> None:
    """Classes keep their order, shares add up to 1, also where some are 0, and other columns stay."""
    table = pd.concat([calibrated(500), table_of(np.eye(3), np.array([0, 1, 1]))])
    found = calibration.apply_temperature(table, temperature)
    shares = calibration.probabilities(found)
    assert (np.array(CLASSES)[shares.argmax(axis=1)] == table.predicted).all()
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(table)))
    others = [name for name in table if not name.startswith("p_")]
    pd.testing.assert_frame_equal(found[others], table[others])
    if temperature == 1:
        assert shares == pytest.approx(calibration.probabilities(table))


@pytest.mark.parametrize("temperature", [*calibration.TEMPERATURES, 1.0])
def test_a_temperature_can_be_taken_back(temperature: float) -> None:
    """A model's own probabilities come out again, from the most extreme temperatures too; none was 0 but `TINY`."""
    table = pd.concat([calibrated(500), table_of(np.eye(3), np.array([0, 1, 1]))], ignore_index=True)
    row = np.where(np.arange(len(table)) % 2, temperature, 1.0)
    tempered = calibration.apply_temperature(table, row).assign(temperature=row)
    found = calibration.probabilities(calibration.without_temperature(tempered))
    assert found == pytest.approx(calibration.probabilities(table), abs=1e-9)


def test_a_temperature_sees_validation_clips_only() -> None:
    """Rows of another part, and no rows, are refused."""
    table = calibrated(10)
    for rows in (table.assign(part="test"), table.assign(part=["val", "test"] * 5), table[:0]):
        with pytest.raises(InputError, match="validation clips only"):
            calibration.fit_temperature(rows)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_few_speakers_are_distrusted(factor: float) -> None:
    """The fewer speakers say that a model is too sure or not sure enough, the nearer to 1 its temperature stays."""
    found = [
        calibration.fit_temperature(calibration.apply_temperature(calibrated(speakers=speakers), 1 / factor))
        for speakers in (1, 2, 10, 1000)
    ]
    off = np.abs(np.log(found))
    assert (np.sign(np.log(found)) == np.sign(np.log(factor))).all()
    assert (np.diff(off) > 0.01).all()
    assert off[0] < 0.7 * off[-1]


def test_one_voice_that_is_always_understood_makes_no_model_sure_of_all() -> None:
    """As where a corpus has two speakers, and other clips of the one that taught validate: there T would be 0."""
    table = tables.predicted(CLASSES * 50, CLASSES * 50, part="val", classes=CLASSES)
    one, many = table.assign(speaker="demo-1"), table.assign(speaker=[f"demo-{n}" for n in range(len(table))])
    assert 0.3 < calibration.fit_temperature(one) < 1
    assert calibration.TEMPERATURES[0] <= calibration.fit_temperature(many) < 0.3
