"""The emotions this project speaks of, and how a run chooses and merges them."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser.errors import InputError

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""Canonical names, in the order of every table, matrix and model output."""


def check_emotions(names: Sequence[str], *, where: str) -> None:
    """Refuse names that are not canonical.

    Raises
    ------
    InputError
        Naming `where` they stand, the unknown names and the known ones.
    """
    unknown = sorted(set(names) - set(EMOTIONS))
    if unknown:
        raise InputError(f"{where}: unknown emotion {', '.join(unknown)}; known are {', '.join(EMOTIONS)}.")


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


def in_order(names: Sequence[str] | set[str]) -> list[str]:
    """Sort emotions into their canonical order, without repeats."""
    return [emotion for emotion in EMOTIONS if emotion in set(names)]
