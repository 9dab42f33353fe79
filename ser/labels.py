"""The emotions this project speaks of, and how a run chooses and merges them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ser.utils.errors import UserError

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""Canonical names, in the order of every table, matrix and model output."""
LABEL_PATTERN = "[a-z]+(_[a-z]+)*"
"""What else may name an emotion: some corpora have ``bored``. A run leaves such clips out unless it names them."""


def validate_labels(names: Sequence[str], *, where: str) -> None:
    """Refuse what cannot be the name of an emotion; other words than the canonical ones are allowed.

    Raises
    ------
    UserError
        Naming `where` they stand, and what was found.
    """
    wrong = sorted(name for name in set(names) if not re.fullmatch(LABEL_PATTERN, name))
    if wrong:
        raise UserError(
            f"{where}: {', '.join(map(repr, wrong))} cannot name an emotion; expected a lower-case word, such as "
            f"{', '.join(EMOTIONS)}."
        )


def label_map(use: Sequence[str], merge: Mapping[Any, str]) -> dict[str, str]:
    """Say which label each canonical emotion gets in a run.

    Parameters
    ----------
    use
        Emotions that are classes of the run.
    merge
        Emotion -> the class it is counted as, such as ``{"calm": "neutral"}``.

    Returns
    -------
    dict of str to str
        Emotion -> class. An emotion that is absent is left out of the run.
    """
    labels = {emotion: emotion for emotion in use}
    return labels | {emotion: target for emotion, target in merge.items() if target in use}


def canonical_order(names: Iterable[str]) -> list[str]:
    """Sort emotions into their canonical order, others after them by the alphabet, without repeats."""
    found = set(names)
    return [emotion for emotion in EMOTIONS if emotion in found] + sorted(found - set(EMOTIONS))
