"""Emotions have one set of names and one order, and a run chooses and merges them."""

import pytest

from ser.labels import EMOTIONS, canonical_order, label_map, validate_labels
from ser.utils.errors import UserError


def test_the_canonical_names() -> None:
    """Models, tables and matrices rely on these names in this order."""
    assert EMOTIONS == ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["surprised", "angry", "neutral"], ["neutral", "angry", "surprised"]),
        (["sad", "happy", "sad"], ["happy", "sad"]),
        ({"disgust", "calm"}, ["calm", "disgust"]),
        ([], []),
        (reversed(EMOTIONS), list(EMOTIONS)),
        (["tired", "sad", "bored"], ["sad", "bored", "tired"]),
    ],
)
def test_in_order(names: list[str], expected: list[str]) -> None:
    """Any collection of emotions comes out in canonical order, others by the alphabet after them, each once."""
    assert canonical_order(list(names)) == expected


def test_words_pass() -> None:
    """Nothing happens where every name is a word, canonical or not."""
    validate_labels(["angry", "calm", "angry", "bored", "pleasant_surprise"], where="here")


def test_what_is_no_word_is_refused() -> None:
    """The error names the place, what was found, and what is expected."""
    with pytest.raises(
        UserError, match=r"^tess\.csv: '', 'Angry', 'p s' cannot name .* such as neutral, calm, .*surpr"
    ):
        validate_labels(["p s", "angry", "", "Angry"], where="tess.csv")


@pytest.mark.parametrize(
    ("use", "merge", "expected"),
    [
        (["happy", "sad"], {}, {"happy": "happy", "sad": "sad"}),
        (["neutral", "sad"], {"calm": "neutral"}, {"neutral": "neutral", "sad": "sad", "calm": "neutral"}),
        (["neutral", "calm"], {"calm": "neutral"}, {"neutral": "neutral", "calm": "neutral"}),
        (["happy", "sad"], {"calm": "neutral"}, {"happy": "happy", "sad": "sad"}),
    ],
)
def test_label_map(use: list[str], merge: dict[str, str], expected: dict[str, str]) -> None:
    """A merged emotion is counted as its target, also where it is a class itself; what has no class is left out."""
    assert label_map(use, merge) == expected
