"""Find the columns of feature tables by name."""

import numpy as np
import pytest

from ser.features.columns import CLIP_FUNCTIONAL_NAMES, column_slices, columns_of, feature_names, merge_slices
from ser.features.functionals import CLIP_FUNCTIONALS, functional_names
from tests.helpers import factories


def test_columns_of_features() -> None:
    """Columns are found by the first part of their names, in the order of the table."""
    selected = {"frame_features": ["zcr", "mel", "rms"], "mel": {"n_mels": 4, "fmin": 50}}
    names = feature_names(factories.settings(features=selected).features)
    assert names == ["zcr.0", "mel.0", "mel.1", "mel.2", "mel.3", "rms.0"]
    assert columns_of(names, ["rms", "mel"]).tolist() == [1, 2, 3, 4, 5]
    assert columns_of(names, ["pitch"]).tolist() == []


@pytest.mark.parametrize(
    ("columns", "slices"), [([], []), ([3], [(3, 4)]), ([0, 1, 2], [(0, 3)]), ([0, 2, 3, 7], [(0, 1), (2, 4), (7, 8)])]
)
def test_adjacent_columns_are_merged(columns: list[int], slices: list[tuple[int, int]]) -> None:
    """Adjacent columns are one slice."""
    assert merge_slices(np.array(columns, dtype=np.intp)) == slices


def test_slices_of_functionals() -> None:
    """Functionals of columns and of clips are found by name, without importing the module that computes them."""
    selected = {
        "frame_features": ["rms", "zcr"],
        "functionals": ["mean", "slope", "mean_abs_delta", "std", "modulation_spectrum"],
    }
    names = functional_names(factories.settings(features=selected).features)
    assert names[:2] == ["rms.0.mean", "zcr.0.mean"]
    assert column_slices(names, ["slope", "mean_abs_delta", "modulation_spectrum"]) == [(2, 6), (8, len(names))]
    assert column_slices(names, ["mean"]) == [(0, 2)]
    assert column_slices(names, ["rms", "curvature"]) == []
    assert set(CLIP_FUNCTIONALS) == CLIP_FUNCTIONAL_NAMES
