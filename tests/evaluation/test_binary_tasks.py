"""Test binary tasks with scores computed by hand."""

import numpy as np
import pytest

from ser.evaluation import binary_tasks
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.eight_clips import CLASSES


def test_scores_match_hand_computed_values() -> None:
    """Scores are normalized over positive and negative emotions; other clips are excluded."""
    table = factories.predicted(["happy", "angry", "sad", "sad", "neutral"], ["neutral"] * 5, classes=CLASSES)
    table = table.assign(
        prob_neutral=[0.5, 0.0, 0.6, 0.0, 0.7],
        prob_happy=[0.2, 0.1, 0.0, 0.3, 0.1],
        prob_sad=[0.1, 0.8, 0.4, 0.4, 0.1],
        prob_angry=[0.2, 0.1, 0.0, 0.3, 0.1],
    )  # scores of the first four: 0.8, 0.2, 0 and 0.6
    scores = binary_tasks.binary(table, positive=["happy", "angry", "surprised"], negative=["sad"])
    assert scores[:4] == (4, 0.5, 0.5, 0.75)  # of four pairs, one is in the wrong order
    assert (scores.positive, scores.negative) == (["happy", "angry"], ["sad"])  # surprised is no class
    assert scores.curve[["fpr", "tpr"]].to_numpy().tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    assert scores.curve.threshold.to_list() == pytest.approx([np.inf, 0.8, 0.6, 0.2, 0])


def test_task_with_clips_of_one_side_has_accuracy_only() -> None:
    """ROC AUC is NaN and the curve empty; a clip without probability for either side scores 0.5."""
    table = factories.predicted(["sad", "sad"], ["neutral", "sad"], classes=CLASSES)
    table.loc[0, ["prob_neutral", "prob_happy", "prob_sad", "prob_angry"]] = [1, 0, 0, 0]
    scores = binary_tasks.binary(table, positive=["happy"], negative=["sad"])
    assert (scores.accuracy, scores.uar) == (0.5, 0.5)
    assert np.isnan(scores.roc_auc) and scores.curve.empty and list(scores.curve) == ["fpr", "tpr", "threshold"]


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [("surprised", "sad", "positive is surprised"), ("angry", "neutral", "no clips of angry, neutral")],
)
def test_groups_without_clips_are_rejected(positive: str, negative: str, message: str) -> None:
    """Each group needs a class, and one of them a clip."""
    table = factories.predicted(["happy", "sad"], ["sad", "sad"], classes=CLASSES)
    with pytest.raises(UserError, match=message):
        binary_tasks.binary(table, positive=[positive], negative=[negative])
