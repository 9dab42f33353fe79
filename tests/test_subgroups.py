"""Slices, errors and coarser tasks whose numbers can be counted on fingers."""

import numpy as np
import pandas as pd
import pytest
import tables
from sklearn import metrics as sklearn_metrics

from ser import subgroups
from ser.errors import InputError

CLASSES = ["neutral", "happy", "sad", "angry"]


def heard() -> pd.DataFrame:
    """Predict eight clips: a, a woman, is understood on 3 of 4 and b, a man, on 1 of 4."""
    true = ["neutral", "neutral", "sad", "sad", "neutral", "happy", "happy", "happy"]
    said = ["neutral", "neutral", "sad", "happy", "sad", "happy", "sad", "sad"]
    table = tables.predicted(true, said, classes=CLASSES)
    return table.assign(speaker=list("aaaabbbb"), sex=list("ffffmmmm"), seconds=[0.5, 1, 1.5, 2, 5, 9, 4.9, 3])


def random_table(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), size=n)
    true, said = rng.choice(CLASSES, size=n), np.array(CLASSES)[shares.argmax(axis=1)]
    table = tables.predicted(list(true), list(said), classes=CLASSES)
    return table.assign(**{f"p_{name}": shares[:, i] for i, name in enumerate(CLASSES)})


# Slices ---------------------------------------------------------------------------------------------------------------


def test_speakers_are_judged_apart() -> None:
    """The worst comes first, and UAR is over the two emotions that each speaker has."""
    found = subgroups.by(heard(), "speaker")
    assert tuple(found) == subgroups.SLICE
    assert found.to_numpy().tolist() == [
        ["b", 4, 1, 2, pytest.approx((0 + 1 / 3) / 2), 0.25],
        ["a", 4, 1, 2, pytest.approx((1 + 1 / 2) / 2), 0.75],
    ]


def test_nobody_is_no_speaker() -> None:
    """Where nobody knows who speaks, a slice has no speakers, not one."""
    assert subgroups.by(heard().assign(speaker="ravdess-"), "sex").speakers.to_list() == [0, 0]


def test_no_clip_is_lost_in_a_slice() -> None:
    """A missing value is a slice, equal slices stand in order, and an unknown column is named."""
    table = heard().assign(predicted="neutral", emotion="neutral", text=["2", "1", None, "1", None, "1", "1", "1"])
    found = subgroups.by(table, "text")
    assert found.value[:2].to_list() == ["1", "2"] and pd.isna(found.value[2])
    assert found.clips.to_list() == [5, 1, 2]
    with pytest.raises(InputError, match="by age: predictions have no such column"):
        subgroups.by(table, "age")


def test_seeds_do_not_multiply_clips() -> None:
    """Clips that two seeds judged are counted once, and their answers averaged."""
    both = pd.concat([heard(), heard().assign(seed=2, predicted=heard().emotion)])
    found = subgroups.by(both, "speaker")
    assert found.clips.to_list() == [4, 4]
    assert found.accuracy.to_list() == pytest.approx([(0.25 + 1) / 2, (0.75 + 1) / 2])


def test_extremes_and_gap() -> None:
    """Worst and best speaker with their distance, and women's UAR minus men's."""
    low, high = 1 / 6, 3 / 4
    found = subgroups.extremes(heard())
    assert (found.worst, found.best) == ("b", "a")
    assert (found.worst_uar, found.best_uar, found.spread) == pytest.approx((low, high, high - low))
    assert subgroups.extremes(heard(), column="corpus").spread == 0
    assert subgroups.sex_gap(heard()) == pytest.approx(high - low)
    assert np.isnan(subgroups.sex_gap(heard()[:4]))


def test_durations_are_binned_from_short_to_long() -> None:
    """A bin holds its lower edge; bins without clips are not listed, and no clip may be without a duration."""
    found = subgroups.by_duration(heard())
    assert found.value.to_list() == ["0 to 1 s", "1 to 2 s", "2 to 3 s", "3 to 4 s", "4 to 5 s", "5 s or more"]
    assert found.clips.to_list() == [1, 2, 1, 1, 1, 2]
    coarse = subgroups.by_duration(heard(), edges=[0, 10, 20])
    assert coarse.value.to_list() == ["0 to 10 s"]
    with pytest.raises(InputError, match="01-01-02 has nan s"):
        subgroups.by_duration(heard().assign(seconds=[1, 1, np.nan, 1, 1, 1, 1, 1]))
    with pytest.raises(InputError, match="no column seconds"):
        subgroups.by_duration(heard().drop(columns="seconds"))


# Errors ---------------------------------------------------------------------------------------------------------------


def test_confused_pairs_are_ranked_by_share() -> None:
    """Two of three happy clips, then one of two sad ones, then one of three neutral ones."""
    found = subgroups.confused_pairs(heard(), 5)
    assert list(found) == ["emotion", "predicted", "clips", "share"]
    assert found.to_numpy().tolist() == [
        ["happy", "sad", 2, pytest.approx(2 / 3)],
        ["sad", "happy", 1, 0.5],
        ["neutral", "sad", 1, pytest.approx(1 / 3)],
    ]
    assert len(subgroups.confused_pairs(heard(), 1)) == 1
    assert subgroups.confused_pairs(heard().assign(predicted=heard().emotion), 5).empty


def test_the_surest_errors_come_first() -> None:
    """Wrong answers only, by the probability of the answer, equal ones by name."""
    table = heard()
    table.loc[6, ["p_sad", "p_happy"]] = [0.9, 0.05]
    found = subgroups.confidently_wrong(table, 3)
    assert found.clip_id.str[-2:].to_list() == ["06", "03", "04"]
    assert found.loc[0, ["emotion", "predicted", "confidence", "truth"]].to_list() == ["happy", "sad", 0.9, 0.05]
    assert found.confidence[1] == pytest.approx(0.7) and found.truth[1] == pytest.approx(0.1)


# Other tasks ----------------------------------------------------------------------------------------------------------


def test_a_binary_task_by_hand() -> None:
    """Sad is negative and happy and angry are positive: scores are shares of the three, and neutral is left out."""
    table = tables.predicted(["happy", "angry", "sad", "sad", "neutral"], ["neutral"] * 5, classes=CLASSES)
    table = table.assign(
        p_neutral=[0.5, 0.0, 0.6, 0.0, 0.7],
        p_happy=[0.2, 0.1, 0.0, 0.3, 0.1],
        p_sad=[0.1, 0.8, 0.4, 0.4, 0.1],
        p_angry=[0.2, 0.1, 0.0, 0.3, 0.1],
    )  # scores of the first four: 0.8, 0.2, 0 and 0.6
    found = subgroups.binary(table, positive=["happy", "angry", "surprised"], negative=["sad"])
    assert found[:4] == (4, 0.5, 0.5, 0.75)  # of four pairs, one is in the wrong order
    assert found.curve[["fpr", "tpr"]].to_numpy().tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    assert found.curve.threshold.to_list() == pytest.approx([np.inf, 0.8, 0.6, 0.2, 0])


def test_a_binary_task_without_one_side() -> None:
    """There is an accuracy, and no area and no curve; a clip that gives neither group anything is undecided."""
    table = tables.predicted(["sad", "sad"], ["neutral", "sad"], classes=CLASSES)
    table.loc[0, ["p_neutral", "p_happy", "p_sad", "p_angry"]] = [1, 0, 0, 0]
    found = subgroups.binary(table, positive=["happy"], negative=["sad"])
    assert (found.accuracy, found.uar) == (0.5, 0.5)
    assert np.isnan(found.roc_auc) and found.curve.empty and list(found.curve) == ["fpr", "tpr", "threshold"]


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        (["happy", "sad"], ["sad"], "none may be in both"),
        (["surprised"], ["sad"], "each needs one of the classes"),
        ([], ["sad"], "positive is empty"),
        (["Joy!"], ["sad"], "'Joy!' cannot name an emotion"),
        (["angry"], ["neutral"], "no clip is of angry, neutral"),
    ],
)
def test_groups_that_make_no_task_are_named(positive: list[str], negative: list[str], message: str) -> None:
    """Each group has a class of its own, and some clip is of them."""
    table = tables.predicted(["happy", "sad"], ["sad", "sad"], classes=CLASSES)
    with pytest.raises(InputError, match=message):
        subgroups.binary(table, positive=positive, negative=negative)


def test_curves_have_scikit_learn_s_areas() -> None:
    """Each class that some but not all clips have has a curve, in canonical order, with the known area below it."""
    table = random_table()
    curves = subgroups.roc_curves(table)
    assert list(curves.emotion.unique()) == CLASSES
    for name, curve in curves.groupby("emotion"):
        area = sklearn_metrics.roc_auc_score(table.emotion == name, table[f"p_{name}"])
        assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(area)
    assert set(subgroups.roc_curves(table[table.emotion != "sad"]).emotion) == {"neutral", "happy", "angry"}
    assert subgroups.roc_curves(table[table.emotion == "sad"]).empty


def test_top_k() -> None:
    """The first is the accuracy, all of them are always right, and between them it is scikit-learn's number."""
    table = random_table()
    codes = pd.Categorical(table.emotion, categories=CLASSES).codes
    shares = table[[f"p_{name}" for name in CLASSES]]
    assert subgroups.top_k_accuracy(table, 1) == pytest.approx((table.emotion == table.predicted).mean())
    expected = sklearn_metrics.top_k_accuracy_score(codes, shares, k=2)
    assert subgroups.top_k_accuracy(table, 2) == pytest.approx(expected)
    assert subgroups.top_k_accuracy(table, 4) == 1


def test_kappa() -> None:
    """Agreement on 3 of 4 where chance gives a half is a half; where all is one class there is none."""
    table = tables.predicted(["sad", "sad", "happy", "happy"], ["sad", "sad", "happy", "sad"], classes=CLASSES)
    assert subgroups.cohen_kappa(table) == pytest.approx(0.5)
    assert np.isnan(subgroups.cohen_kappa(table[:2]))
