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


def with_probabilities(row: list[float]) -> pd.DataFrame:
    table = valid()
    table.loc[1, PROBS] = row
    return table


INVALID_PROBABILITIES = [[0.5] * 3, [0.2] * 3, [-0.1, 0.6, 0.5], [np.nan, 0.5, 0.5], [np.nan] * 3, [np.inf, 0, 0]]
INVALID = [
    *((valid().drop(columns=column), f"columns {column} are missing") for column in prediction_table.COLUMNS),
    (valid().iloc[:0], "no rows"),
    (valid().drop(columns=PROBS), "no prob_<emotion> column"),
    *((with_probabilities(row), "must sum to 1") for row in INVALID_PROBABILITIES),
    (pd.concat([valid(), valid().iloc[:1]], ignore_index=True), "03-01-01-01-01-01-00"),
    (valid().assign(emotion="disgust"), "disgust"),
    (valid().assign(predicted="disgust"), "disgust"),
]


@pytest.mark.parametrize(("table", "text"), INVALID)
def test_invalid_table_is_rejected(table: pd.DataFrame, text: str) -> None:
    """The error has the name of the model, and the column, clip or class."""
    with pytest.raises(UserError) as error:
        prediction_table.validate(table, name="svm")
    assert str(error.value).startswith("predictions of svm: ") and text in str(error.value)


def test_rounded_probabilities_are_valid() -> None:
    """Probabilities of 32 bits do not sum to 1 exactly."""
    prediction_table.validate(valid().assign(prob_happy=lambda table: table.prob_happy + 1e-5), name="lstm")
