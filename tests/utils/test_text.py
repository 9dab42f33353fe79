"""Counts and names are formatted as in a sentence."""

import pytest

from ser.utils.text import join_names, pluralize, shorten


@pytest.mark.parametrize(
    ("number", "plural", "expected"),
    [(1, "", "1 clip"), (0, "", "0 clips"), (2000, "", "2,000 clips"), (2, "all", "2 all")],
)
def test_counts(number: int, plural: str, expected: str) -> None:
    """The noun is singular for 1 only, and thousands are separated."""
    assert pluralize(number, "clip", plural) == expected


@pytest.mark.parametrize(
    ("names", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_joined(names: list[str], expected: str) -> None:
    """Commas separate all names but the last."""
    assert join_names(names) == expected


def test_long_texts_are_shortened() -> None:
    """The result has the maximum length; a text that fits is unchanged."""
    assert shorten("a" * 24) == "a" * 24
    assert shorten("abcdefghij", max_length=6) == "abc…ij"
