"""Test metrics against values computed by hand and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn_metrics

from ser.evaluation import metrics
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]
FOUR = [*CLASSES, "angry"]
TRUE = ["neutral"] * 4 + ["happy"] * 2 + ["sad"] * 2
PREDICTED = ["neutral", "neutral", "neutral", "sad", "happy", "neutral", "sad", "sad"]


def random_table(classes: list[str], *, absent: str = "", n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    true = rng.choice([name for name in classes if name != absent], size=n)
    probs = rng.dirichlet(np.ones(len(classes)), size=n)
    table = factories.predicted(list(true), [classes[i] for i in probs.argmax(axis=1)], classes=classes)
    return table.assign(**{f"prob_{name}": probs[:, i] for i, name in enumerate(classes)})


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        (TRUE, PREDICTED, (3 / 4 + 1 / 2 + 1) / 3),
        (["sad"] * 98 + ["happy"] * 2, ["sad"] * 100, 0.5),  # an accuracy of 0.98
        (["sad", "happy"], ["sad", "angry"], 0.5),
        (["sad", "sad"], ["happy", "happy"], 0.0),  # happy does not occur
    ],
)
def test_uar(true: list[object], predicted: list[object], expected: float) -> None:
    """UAR is the mean recall of the classes that occur."""
    assert metrics.uar(true, predicted) == pytest.approx(expected)


@pytest.mark.parametrize("absent", ["", "calm"])
def test_metrics_equal_scikit_learn_macro_averages(absent: str) -> None:
    """Averages are over the classes that occur."""
    classes = ["neutral", "calm", "happy", "sad"]
    table = random_table(classes, absent=absent)
    present = [name for name in classes if name != absent]
    scores = metrics.compute_metrics(table, classes=classes)
    assert {key for key in scores if key.startswith("recall_")} == {f"recall_{name}" for name in present}
    assert scores["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(table.emotion, table.predicted))
    averages = {"labels": present, "average": "macro", "zero_division": 0}
    precision, uar, f1, _ = sklearn_metrics.precision_recall_fscore_support(table.emotion, table.predicted, **averages)
    assert (scores["precision"], scores["uar"], scores["f1"]) == pytest.approx((precision, uar, f1))
    areas = [sklearn_metrics.roc_auc_score(table.emotion == name, table[f"prob_{name}"]) for name in present]
    assert scores["roc_auc"] == pytest.approx(np.mean(areas))


def test_splits_are_evaluated_without_augmented_clips() -> None:
    """Each split has its own metrics; augmented clips, all wrong here, do not change them."""
    table = factories.predicted(TRUE, PREDICTED, split=["val", "test"] * 4, classes=CLASSES)
    scores = metrics.evaluate(table)
    assert scores == {
        split: metrics.compute_metrics(table[table.split == split], classes=CLASSES) for split in ("val", "test")
    }
    wrong = {"neutral": "sad", "happy": "sad", "sad": "neutral"}
    augmented = table.assign(augmentation="noise", predicted=[wrong[name] for name in TRUE])
    augmented["clip_id"] += "+noise.1"
    assert metrics.evaluate(pd.concat([table, augmented])) == scores


def test_confusion_matrix_is_in_canonical_order() -> None:
    """Rows are true, columns predicted emotions; classes without clips are included."""
    classes = ["neutral", "calm", "happy", "sad"]
    counts = metrics.confusion(factories.predicted(TRUE, PREDICTED, classes=classes), classes=classes)
    assert counts.index.to_list() == counts.columns.to_list() == classes
    assert (counts.index.name, counts.columns.name) == ("emotion", "predicted")
    assert counts.to_numpy().tolist() == [[3, 0, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 2]]


def test_area_below_roc_curves_is_roc_auc() -> None:
    """Classes that some but not all clips have have a curve, in canonical order."""
    table = random_table(FOUR, n=200)
    curves = metrics.roc_curves(table)
    assert list(curves.emotion.unique()) == FOUR
    for name, curve in curves.groupby("emotion"):
        area = sklearn_metrics.roc_auc_score(table.emotion == name, table[f"prob_{name}"])
        assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(area)
    assert set(metrics.roc_curves(table[table.emotion != "sad"]).emotion) == {"neutral", "happy", "angry"}
    assert metrics.roc_curves(table[table.emotion == "sad"]).empty


def test_top_k_accuracy() -> None:
    """For k = 1 it is the accuracy, for all classes 1, and between them scikit-learn's value."""
    table = random_table(FOUR, n=200)
    codes = pd.Categorical(table.emotion, categories=FOUR).codes
    probs = table[[f"prob_{name}" for name in FOUR]]
    assert metrics.top_k_accuracy(table, 1) == pytest.approx((table.emotion == table.predicted).mean())
    expected = sklearn_metrics.top_k_accuracy_score(codes, probs, k=2)
    assert metrics.top_k_accuracy(table, 2) == pytest.approx(expected)
    assert metrics.top_k_accuracy(table, 4) == 1


def test_cohen_kappa() -> None:
    """Accuracy 3/4 where chance is 1/2 gives 1/2; with one class, kappa and ROC AUC are NaN."""
    table = factories.predicted(["sad", "sad", "happy", "happy"], ["sad", "sad", "happy", "sad"], classes=FOUR)
    assert metrics.cohen_kappa(table) == pytest.approx(0.5)
    assert np.isnan(metrics.cohen_kappa(table[:2]))
    assert np.isnan(metrics.compute_metrics(table[:2], classes=FOUR)["roc_auc"])
