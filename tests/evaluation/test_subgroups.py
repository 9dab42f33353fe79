"""Test subgroups with metrics computed by hand."""

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import subgroups
from tests.helpers.eight_clips import eight_clips


def test_speakers_are_sorted_by_uar() -> None:
    """UAR is over the two emotions of each speaker; unknown speakers are not counted."""
    groups = subgroups.evaluate_by_group(eight_clips(), "speaker")
    assert tuple(groups) == subgroups.SUBGROUP_COLUMNS
    assert groups.to_numpy().tolist() == [
        ["b", 4, 1, 2, pytest.approx((0 + 1 / 3) / 2), 0.25],
        ["a", 4, 1, 2, pytest.approx((1 + 1 / 2) / 2), 0.75],
    ]
    assert subgroups.evaluate_by_group(eight_clips().assign(speaker="ravdess-"), "sex").speakers.to_list() == [0, 0]


def test_missing_values_are_a_group() -> None:
    """Groups with equal UAR are sorted by value, missing values last."""
    sentence = ["2", "1", None, "1", None, "1", "1", "1"]
    table = eight_clips().assign(predicted="neutral", emotion="neutral", sentence=sentence)
    groups = subgroups.evaluate_by_group(table, "sentence")
    assert groups.value[:2].to_list() == ["1", "2"] and pd.isna(groups.value[2])
    assert groups.clips.to_list() == [5, 1, 2]


def test_seeds_do_not_multiply_clips() -> None:
    """Clips are counted once, and metrics averaged over seeds."""
    both = pd.concat([eight_clips(), eight_clips().assign(seed=2, predicted=eight_clips().emotion)])
    groups = subgroups.evaluate_by_group(both, "speaker")
    assert groups.clips.to_list() == [4, 4]
    assert groups.accuracy.to_list() == pytest.approx([(0.25 + 1) / 2, (0.75 + 1) / 2])


def test_sex_gap() -> None:
    """It is female minus male UAR, and NaN without clips of one of them."""
    assert subgroups.uar_sex_gap(eight_clips()) == pytest.approx(3 / 4 - 1 / 6)
    assert np.isnan(subgroups.uar_sex_gap(eight_clips()[:4]))


def test_duration_bins() -> None:
    """A bin includes its lower edge; empty bins are not listed."""
    groups = subgroups.evaluate_by_duration(eight_clips())
    assert groups.value.to_list() == ["0 to 1 s", "1 to 2 s", "2 to 3 s", "3 to 4 s", "4 to 5 s", "5 s or more"]
    assert groups.clips.to_list() == [1, 2, 1, 1, 1, 2]
    assert subgroups.evaluate_by_duration(eight_clips()[5:6]).value.to_list() == ["5 s or more"]
