"""Binary tasks whose numbers can be counted on fingers."""

import numpy as np
import pytest

from ser.evaluation import binary_tasks
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.eight_clips import CLASSES


def test_a_binary_task_by_hand() -> None:
    """Sad is negative and happy and angry are positive: scores are shares of the three, and neutral is left out."""
    table = factories.predicted(["happy", "angry", "sad", "sad", "neutral"], ["neutral"] * 5, classes=CLASSES)
    table = table.assign(
        prob_neutral=[0.5, 0.0, 0.6, 0.0, 0.7],
        prob_happy=[0.2, 0.1, 0.0, 0.3, 0.1],
        prob_sad=[0.1, 0.8, 0.4, 0.4, 0.1],
        prob_angry=[0.2, 0.1, 0.0, 0.3, 0.1],
    )  # scores of the first four: 0.8, 0.2, 0 and 0.6
    found = binary_tasks.binary(table, positive=["happy", "angry", "surprised"], negative=["sad"])
    assert found[:4] == (4, 0.5, 0.5, 0.75)  # of four pairs, one is in the wrong order
    assert found.curve[["fpr", "tpr"]].to_numpy().tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    assert found.curve.threshold.to_list() == pytest.approx([np.inf, 0.8, 0.6, 0.2, 0])


def test_a_binary_task_without_one_side() -> None:
    """There is an accuracy, and no area and no curve; a clip that gives neither group anything is undecided."""
    table = factories.predicted(["sad", "sad"], ["neutral", "sad"], classes=CLASSES)
    table.loc[0, ["prob_neutral", "prob_happy", "prob_sad", "prob_angry"]] = [1, 0, 0, 0]
    found = binary_tasks.binary(table, positive=["happy"], negative=["sad"])
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
    table = factories.predicted(["happy", "sad"], ["sad", "sad"], classes=CLASSES)
    with pytest.raises(UserError, match=message):
        binary_tasks.binary(table, positive=positive, negative=negative)
