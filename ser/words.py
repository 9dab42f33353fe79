"""Words that depend on numbers."""


def count(number: int, one: str, many: str = "") -> str:
    """Count things: ``1 clip``, ``2,000 clips``; `many` where it is more than an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
