"""Counts and names are formatted as in a sentence."""

from ser.utils.text import join_names, pluralize, shorten


def test_counts() -> None:
    """The noun is singular for 1 only, and thousands are separated."""
    assert [pluralize(n, "clip") for n in (0, 1, 2000)] == ["0 clips", "1 clip", "2,000 clips"]
    assert pluralize(2, "clip", "all") == "2 all"


def test_names_are_joined() -> None:
    """Commas separate all names but the last."""
    assert [join_names("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_long_texts_are_shortened() -> None:
    """The result has the maximum length; a text that fits is unchanged."""
    assert shorten("a" * 24) == "a" * 24
    assert shorten("abcdefghij", max_length=6) == "abc…ij"
