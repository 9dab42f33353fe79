"""Define the canonical emotions; validate, map and sort emotion labels."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ser.utils.errors import UserError

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""Canonical names, in the order of all tables, matrices and model outputs."""
EMOTION_COLUMNS = ("emotion", "label", "class", "emotionlabel", "emotionclass", "emotionname", "emotions", "category")
"""Accepted names of the emotion's column in users' tables and patterns, in lower case without separators."""
LABEL_PATTERN = "[a-z]+(_[a-z]+)*"
"""Pattern of emotion names. Corpora may have others than `EMOTIONS`, such as ``bored``."""


def validate_labels(names: Sequence[str], *, where: str) -> None:
    """Check that names match `LABEL_PATTERN`.

    Raises
    ------
    UserError
        If a name does not match; the message starts with `where`.
    """
    invalid = sorted(name for name in set(names) if not re.fullmatch(LABEL_PATTERN, name))
    if invalid:
        raise UserError(
            f"{where}: invalid emotion {', '.join(map(repr, invalid))}; expected a lower-case word, such as "
            f"{', '.join(EMOTIONS)}."
        )


def label_map(use: Sequence[str], merge: Mapping[Any, str]) -> dict[str, str]:
    """Map each emotion to its class in a run.

    Parameters
    ----------
    use : sequence of str
        Emotions that are classes of the run.
    merge : mapping of str to str
        Emotion -> class that it is merged into, such as ``{"calm": "neutral"}``.

    Returns
    -------
    dict of str to str
        Emotion -> class. Other emotions are excluded from the run.
    """
    labels = {emotion: emotion for emotion in use}
    return labels | {emotion: target for emotion, target in merge.items() if target in use}


def canonical_order(names: Iterable[str]) -> list[str]:
    """Sort emotions into canonical order, others after them alphabetically, without duplicates."""
    unique = set(names)
    return [emotion for emotion in EMOTIONS if emotion in unique] + sorted(unique - set(EMOTIONS))
