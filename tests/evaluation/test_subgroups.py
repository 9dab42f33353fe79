"""Subgroups of clips whose numbers can be counted on fingers."""

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import subgroups
from ser.utils.errors import UserError
from tests.helpers.eight_clips import heard


def test_speakers_are_judged_apart() -> None:
    """The worst comes first, and UAR is over the two emotions that each speaker has."""
    found = subgroups.evaluate_by_group(heard(), "speaker")
    assert tuple(found) == subgroups.SUBGROUP_COLUMNS
    assert found.to_numpy().tolist() == [
        ["b", 4, 1, 2, pytest.approx((0 + 1 / 3) / 2), 0.25],
        ["a", 4, 1, 2, pytest.approx((1 + 1 / 2) / 2), 0.75],
    ]


def test_nobody_is_no_speaker() -> None:
    """Where nobody knows who speaks, a slice has no speakers, not one."""
    assert subgroups.evaluate_by_group(heard().assign(speaker="ravdess-"), "sex").speakers.to_list() == [0, 0]


def test_no_clip_is_lost_in_a_slice() -> None:
    """A missing value is a slice, equal slices stand in order, and an unknown column is named."""
    table = heard().assign(predicted="neutral", emotion="neutral", sentence=["2", "1", None, "1", None, "1", "1", "1"])
    found = subgroups.evaluate_by_group(table, "sentence")
    assert found.value[:2].to_list() == ["1", "2"] and pd.isna(found.value[2])
    assert found.clips.to_list() == [5, 1, 2]
    with pytest.raises(UserError, match="by age: predictions have no such column"):
        subgroups.evaluate_by_group(table, "age")


def test_seeds_do_not_multiply_clips() -> None:
    """Clips that two seeds judged are counted once, and their answers averaged."""
    both = pd.concat([heard(), heard().assign(seed=2, predicted=heard().emotion)])
    found = subgroups.evaluate_by_group(both, "speaker")
    assert found.clips.to_list() == [4, 4]
    assert found.accuracy.to_list() == pytest.approx([(0.25 + 1) / 2, (0.75 + 1) / 2])


def test_extremes_and_gap() -> None:
    """Worst and best speaker with their distance, and women's UAR minus men's."""
    low, high = 1 / 6, 3 / 4
    found = subgroups.best_and_worst_group(heard())
    assert (found.worst, found.best) == ("b", "a")
    assert (found.worst_uar, found.best_uar, found.spread) == pytest.approx((low, high, high - low))
    assert subgroups.best_and_worst_group(heard(), column="corpus").spread == 0
    assert subgroups.uar_sex_gap(heard()) == pytest.approx(high - low)
    assert np.isnan(subgroups.uar_sex_gap(heard()[:4]))


def test_durations_are_binned_from_short_to_long() -> None:
    """A bin holds its lower edge; bins without clips are not listed, and no clip may be without a duration."""
    found = subgroups.evaluate_by_duration(heard())
    assert found.value.to_list() == ["0 to 1 s", "1 to 2 s", "2 to 3 s", "3 to 4 s", "4 to 5 s", "5 s or more"]
    assert found.clips.to_list() == [1, 2, 1, 1, 1, 2]
    coarse = subgroups.evaluate_by_duration(heard(), edges=[0, 10, 20])
    assert coarse.value.to_list() == ["0 to 10 s"]
    with pytest.raises(UserError, match="01-01-02 has nan s"):
        subgroups.evaluate_by_duration(heard().assign(duration=[1, 1, np.nan, 1, 1, 1, 1, 1]))
    with pytest.raises(UserError, match="no column duration"):
        subgroups.evaluate_by_duration(heard().drop(columns="duration"))
