"""Emotions have one set of names and one order, and a run chooses and merges them."""

import pytest

from ser.emotions import EMOTIONS, check_emotions, in_order, label_map
from ser.errors import InputError


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
    ],
)
def test_in_order(names: list[str], expected: list[str]) -> None:
    """Any collection of emotions comes out in canonical order, each once."""
    assert in_order(list(names)) == expected


def test_canonical_names_pass() -> None:
    """Nothing happens where every name is known."""
    check_emotions(["angry", "calm", "angry"], where="here")


def test_foreign_names_are_refused() -> None:
    """The error names the place, the unknown names, and those that are known."""
    with pytest.raises(InputError, match=r"^tess\.csv: unknown emotion fear, ps; known are neutral, calm, .*surprised"):
        check_emotions(["ps", "angry", "fear"], where="tess.csv")


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
