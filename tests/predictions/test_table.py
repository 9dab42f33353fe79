"""Test the construction and validation of prediction tables."""

import numpy as np
import pandas as pd
import pytest

from ser.labels import EMOTIONS
from ser.predictions import table as prediction_table
from ser.utils.errors import UserError
from tests.helpers import factories

CLASSES = ["happy", "sad", "angry"]
PROBS = [f"prob_{name}" for name in CLASSES]


def valid() -> pd.DataFrame:
    return factories.predicted(["happy", "sad", "angry"], ["happy", "angry", "angry"], classes=CLASSES)


def error_message(table: pd.DataFrame) -> str:
    with pytest.raises(UserError) as error:
        prediction_table.validate(table, name="svm")
    assert str(error.value).startswith("predictions of svm: ")
    return str(error.value)


def test_prediction_table() -> None:
    """The table has the metadata of the clips, their probabilities, and the first class with the highest one."""
    clips = factories.ravdess(actors=[2]).iloc[[3, 0, 5]].assign(fold=1, split="test", emotion=["sad", "happy", "sad"])
    clips = clips.assign(
        intensity=["strong", "", "normal"], n_samples=[8000, 16000, 44100], sample_rate=[16000, 16000, 44100]
    )
    probs = np.array([[0.2, 0.5, 0.3], [0.6, 0.4, 0.0], [0.2, 0.4, 0.4]], dtype=np.float32)
    table = prediction_table.prediction_table(clips, probs, classes=CLASSES, seed=3)
    assert list(table) == [*prediction_table.COLUMNS, *PROBS]
    assert list(table.predicted) == ["sad", "happy", "sad"]
    assert list(table.seed) == [3, 3, 3]
    np.testing.assert_array_equal(table[PROBS], probs.astype(np.float64))
    assert list(table.duration) == [0.5, 1.0, 1.0]
    assert set(table.temperature) == {1.0}
    for column in ("clip_id", "original_id", "speaker", "sex", "intensity", "sentence", "emotion", "split"):
        assert list(table[column]) == list(clips[column]), column
    prediction_table.validate(table, name="svm")


def test_classes_are_in_canonical_order() -> None:
    """The order of the columns does not matter."""
    columns = [f"prob_{name}" for name in reversed(EMOTIONS)]
    table = pd.DataFrame(columns=["clip_id", "split", "predicted", *columns])
    assert prediction_table.classes_of(table) == list(EMOTIONS)
    assert prediction_table.classes_of(valid()) == CLASSES


@pytest.mark.parametrize("column", prediction_table.COLUMNS)
def test_missing_column_is_rejected(column: str) -> None:
    """The error names the column."""
    assert f"columns {column} are missing; found " in error_message(valid().drop(columns=column))


def test_missing_rows_or_probabilities_are_rejected() -> None:
    """A table needs rows and a probability per class."""
    assert "no rows" in error_message(valid().iloc[:0])
    assert "no prob_<emotion> column" in error_message(valid().drop(columns=PROBS))


@pytest.mark.parametrize(
    "row", [[0.5, 0.5, 0.5], [0.2, 0.2, 0.2], [-0.1, 0.6, 0.5], [np.nan, 0.5, 0.5], [np.nan] * 3, [np.inf, 0, 0]]
)
def test_invalid_probabilities_are_rejected(row: list[float]) -> None:
    """Probabilities must not be negative and must sum to 1, except for rounding in 32 bits."""
    table = valid()
    table["prob_happy"] += 1e-5
    prediction_table.validate(table, name="lstm")
    table.loc[1, PROBS] = row
    assert "must sum to 1" in error_message(table)


def test_repeated_clip_is_rejected() -> None:
    """The error names the clip."""
    assert "03-01-01-01-01-01-00" in error_message(pd.concat([valid(), valid().iloc[:1]], ignore_index=True))


@pytest.mark.parametrize("column", ["emotion", "predicted"])
def test_unknown_class_is_rejected(column: str) -> None:
    """Every emotion needs a column of probabilities."""
    table = valid()
    table.loc[0, column] = "disgust"
    assert "disgust" in error_message(table)
