"""Names and positions of the columns of feature tables, without computing features."""

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ser.params import Features

Array: TypeAlias = npt.NDArray[np.float32]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Span: TypeAlias = tuple[int, int]
"""Adjacent columns, as the start and stop of a slice."""

CLIP_FUNCTIONAL_NAMES = frozenset({"covariance", "correlation", "modulation_spectrum", "acoustic_classes"})
"""Functionals computed from several features at once. Their names come first in a column's name."""


def feature_names(settings: Features) -> list[str]:
    """List the column names of `ser.features.frame_features`, such as ``mel.0`` or ``rms.0``."""
    widths = {
        "mfcc": settings.mfcc.n_mfcc * (1 + settings.mfcc.delta_order),
        "mel": settings.mel.n_mels,
        "chroma": settings.chroma.n_chroma,
        "rms": 1,
        "zcr": 1,
        "pitch": 3,
        "spectral": 9,
    }
    return [f"{name}.{column}" for name in settings.frame_features for column in range(widths[name])]


def columns_of(names: Sequence[str], kinds: Collection[str]) -> npt.NDArray[np.intp]:
    """Find the positions of some features, such as mel, in the names of `feature_names`."""
    return np.flatnonzero([name.partition(".")[0] in kinds for name in names])


def column_slices(names: Sequence[str], functionals: Collection[str]) -> list[Span]:
    """Find the slices of some functionals, such as slope, in the names of `functional_names`."""
    split = [name.split(".") for name in names]
    return merge_slices(
        np.flatnonzero([parts[0 if parts[0] in CLIP_FUNCTIONAL_NAMES else -1] in functionals for parts in split])
    )


def merge_slices(columns: npt.NDArray[np.intp]) -> list[Span]:
    """Merge sorted columns into as few slices as possible."""
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1) if len(columns) else []
    return [(int(group[0]), int(group[-1]) + 1) for group in groups]
