"""Format counts, lists of names and long texts."""

from collections.abc import Sequence


def pluralize(number: int, singular: str, plural: str = "") -> str:
    """Format a count with its noun: ``1 clip``, ``2,000 clips``; `plural` defaults to the singular with an s."""
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"


def shorten(text: str, *, max_length: int = 24) -> str:
    """Replace the middle of a long text by an ellipsis."""
    return text if len(text) <= max_length else f"{text[: max_length // 2]}…{text[1 - max_length // 2 :]}"


def join_names(names: Sequence[str]) -> str:
    """Join names as in a sentence: ``a``, ``a and b``, ``a, b and c``; an empty string if there are none."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
