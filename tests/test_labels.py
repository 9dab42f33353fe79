"""Test the canonical emotions, their order, and the mapping of emotions to the classes of a run."""

import pytest

from ser.labels import EMOTIONS, canonical_order, label_map, validate_labels
from ser.utils.errors import UserError


def test_canonical_emotions() -> None:
    """Models and tables rely on these names and this order."""
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
def test_canonical_order(names: list[str], expected: list[str]) -> None:
    """Other emotions follow alphabetically; duplicates are removed."""
    assert canonical_order(names) == expected


def test_labels_are_lower_case_words() -> None:
    """The error has the place and the invalid labels."""
    validate_labels(["angry", "calm", "angry", "bored", "pleasant_surprise"], where="here")
    with pytest.raises(UserError, match=r"^tess\.csv: .*'', 'Angry', 'p s'.* such as neutral, calm, .*surprised"):
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
    """A merged emotion has the class of its target, also if it is a class itself."""
    assert label_map(use, merge) == expected
