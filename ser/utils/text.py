"""Format counts, lists of names and long texts."""

from collections.abc import Sequence


def pluralize(number: int, one: str, many: str = "") -> str:
    """Count things: ``1 clip``, ``2,000 clips``; `many` where it is more than an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def shorten(text: str, *, max_length: int = 24) -> str:
    """Replace the middle of a long text by an ellipsis."""
    return text if len(text) <= max_length else f"{text[: max_length // 2]}…{text[1 - max_length // 2 :]}"


def join_names(names: Sequence[str]) -> str:
    """Join names as in a sentence: ``a``, ``a and b``, ``a, b and c``; an empty string if there are none."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
