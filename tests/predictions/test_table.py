"""The prediction table is what its columns say, or is refused."""

import numpy as np
import pandas as pd
import pytest

from ser.labels import EMOTIONS
from ser.predictions import table as prediction_table
from ser.utils.errors import UserError
from tests.helpers import factories

CLASSES = ["happy", "sad", "angry"]


def valid() -> pd.DataFrame:
    return factories.predicted(["happy", "sad", "angry"], ["happy", "angry", "angry"], classes=CLASSES)


def message(table: pd.DataFrame) -> str:
    with pytest.raises(UserError) as error:
        prediction_table.validate(table, name="svm")
    assert str(error.value).startswith("predictions of svm: ")
    return str(error.value)


def test_a_prediction_table() -> None:
    """Each clip keeps what it is, and gets its probabilities and the class of the highest."""
    clips = factories.ravdess(actors=[2]).iloc[[3, 0, 5]].assign(fold=1, split="test", emotion=["sad", "happy", "sad"])
    clips = clips.assign(
        intensity=["strong", "", "normal"], n_samples=[8000, 16000, 44100], sample_rate=[16000, 16000, 44100]
    )
    shares = np.array([[0.2, 0.5, 0.3], [0.6, 0.4, 0.0], [0.1, 0.2, 0.7]], dtype=np.float32)
    table = prediction_table.prediction_table(clips, shares, classes=CLASSES, seed=3)
    assert list(table) == [*prediction_table.COLUMNS, "prob_happy", "prob_sad", "prob_angry"]
    assert list(table.predicted) == ["sad", "happy", "angry"]
    assert list(table.seed) == [3, 3, 3]
    np.testing.assert_array_equal(table[["prob_happy", "prob_sad", "prob_angry"]], shares.astype(np.float64))
    assert list(table.duration) == [0.5, 1.0, 1.0]
    assert set(table.temperature) == {1.0}
    for column in ("clip_id", "original_id", "speaker", "sex", "intensity", "sentence", "emotion", "split"):
        assert list(table[column]) == list(clips[column]), column
    prediction_table.validate(table, name="svm")


def test_equal_probabilities_mean_the_first_class() -> None:
    """A tie is broken the same way every time."""
    clips = factories.ravdess(actors=[2]).iloc[:1].assign(fold=1, split="test")
    table = prediction_table.prediction_table(clips, np.array([[0.2, 0.4, 0.4]]), classes=CLASSES, seed=1)
    assert list(table.predicted) == ["sad"]


def test_classes_of_a_table() -> None:
    """The classes are those with probabilities, in canonical order whatever the order of the columns."""
    columns = [f"prob_{name}" for name in reversed(EMOTIONS)]
    assert prediction_table.classes_of(pd.DataFrame(columns=["clip_id", "split", "predicted", *columns])) == list(
        EMOTIONS
    )
    assert prediction_table.classes_of(valid()) == CLASSES


@pytest.mark.parametrize("column", prediction_table.COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    """A table without one of the columns is refused with its name."""
    assert f"columns {column} are missing; found " in message(valid().drop(columns=column))


def test_a_table_without_rows() -> None:
    """A model that predicted nothing is not judged."""
    assert "no rows" in message(valid().iloc[:0])


def test_a_table_without_probabilities() -> None:
    """A model gives a probability a class, not only its answer."""
    assert "no prob_<emotion> column" in message(valid().drop(columns=[f"prob_{name}" for name in CLASSES]))


@pytest.mark.parametrize(
    "row", [[0.5, 0.5, 0.5], [0.2, 0.2, 0.2], [-0.1, 0.6, 0.5], [np.nan, 0.5, 0.5], [np.nan] * 3, [np.inf, 0, 0]]
)
def test_what_is_no_probability_is_refused(row: list[float]) -> None:
    """Scores that are negative, missing or do not add up to 1 are no probabilities, in whatever row they stand."""
    table = valid()
    table.loc[1, [f"prob_{name}" for name in CLASSES]] = row
    assert "must be shares that add up to 1" in message(table)


def test_rounding_is_forgiven() -> None:
    """Softmax in 32 bits does not add up to 1 exactly."""
    table = valid()
    table["prob_happy"] += 1e-5
    prediction_table.validate(table, name="lstm")


def test_a_clip_is_judged_once() -> None:
    """A table in which a clip stands twice would count it twice."""
    assert "03-01-01-01-01-01-00" in message(pd.concat([valid(), valid().iloc[:1]], ignore_index=True))


@pytest.mark.parametrize("column", ["emotion", "predicted"])
def test_answers_are_among_the_classes(column: str) -> None:
    """An emotion without a column of probabilities would be left out of every average."""
    table = valid()
    table.loc[0, column] = "disgust"
    assert "disgust" in message(table)
