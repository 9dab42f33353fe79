"""Words that depend on numbers."""


def count(number: int, one: str, many: str = "") -> str:
    """Count things: ``1 clip``, ``2,000 clips``; `many` where it is more than an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def shorten(text: str, *, max_length: int = 24) -> str:
    """Replace the middle of a long text by an ellipsis."""
    return text if len(text) <= max_length else f"{text[: max_length // 2]}…{text[1 - max_length // 2 :]}"
