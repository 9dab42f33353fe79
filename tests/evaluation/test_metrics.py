"""Numbers are those one gets by hand, and those of scikit-learn."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn_metrics

from ser.evaluation import metrics
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]
FOUR = [*CLASSES, "angry"]
TRUE = ["neutral"] * 4 + ["happy"] * 2 + ["sad"] * 2
ANSWERS = ["neutral", "neutral", "neutral", "sad", "happy", "neutral", "sad", "sad"]


def random_table(classes: list[str], *, absent: str = "", n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    true = rng.choice([name for name in classes if name != absent], size=n)
    shares = rng.dirichlet(np.ones(len(classes)), size=n)
    table = factories.predicted(list(true), [classes[i] for i in shares.argmax(axis=1)], classes=classes)
    return table.assign(**{f"prob_{name}": shares[:, i] for i, name in enumerate(classes)})


# UAR ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("true", "answers", "expected"),
    [
        (TRUE, ANSWERS, (3 / 4 + 1 / 2 + 1) / 3),
        (["sad"] * 98 + ["happy"] * 2, ["sad"] * 100, 0.5),  # an accuracy of 0.98
        (["sad", "happy"], ["sad", "angry"], 0.5),
        (["sad", "sad"], ["happy", "happy"], 0.0),  # happy does not occur
        ([0, 0, 1], [0, 1, 1], 0.75),
    ],
)
def test_uar(true: list[object], answers: list[object], expected: float) -> None:
    """UAR is the mean recall of the classes that occur, each counting the same."""
    assert metrics.uar(true, answers) == pytest.approx(expected)


def test_uar_is_scikit_learn_s_balanced_accuracy() -> None:
    """On any labels that all occur, the two are one number."""
    rng = np.random.default_rng(1)
    true, answers = rng.choice(8, size=(2, 300), p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
    assert metrics.uar(true, answers) == pytest.approx(sklearn_metrics.balanced_accuracy_score(true, answers))


# All metrics of some rows ---------------------------------------------------------------------------------------------


def test_metrics_by_hand() -> None:
    """Eight clips whose numbers can be counted on fingers."""
    found = metrics.compute_metrics(factories.predicted(TRUE, ANSWERS, classes=CLASSES), classes=CLASSES)
    assert found["clips"] == 8
    assert found["accuracy"] == pytest.approx(6 / 8)
    assert found["recall_neutral"] == pytest.approx(3 / 4)
    assert found["recall_happy"] == pytest.approx(1 / 2)
    assert found["recall_sad"] == 1
    assert found["uar"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    precisions = {"neutral": 3 / 4, "happy": 1, "sad": 2 / 3}
    assert found["precision"] == pytest.approx(sum(precisions.values()) / 3)
    f1 = {name: 2 * p * found[f"recall_{name}"] / (p + found[f"recall_{name}"]) for name, p in precisions.items()}
    assert found["f1"] == pytest.approx(sum(f1.values()) / 3)
    # the area under the curve, from the shares of pairs that are ordered right, ties counting half
    areas = {"neutral": (3 * 3.5 + 1 * 1.5) / 16, "happy": (6 + 3) / 12, "sad": (2 * 5.5) / 12}
    assert found["roc_auc"] == pytest.approx(np.mean([auc(TRUE, ANSWERS, name) for name in CLASSES]))
    assert found["roc_auc"] == pytest.approx(np.mean(list(areas.values())))


def auc(true: list[str], answers: list[str], name: str) -> float:
    """Share of (clip of the class, other clip) pairs in which the first has the higher probability."""
    scores = [answer == name for answer in answers]
    own = [score for label, score in zip(true, scores, strict=True) if label == name]
    others = [score for label, score in zip(true, scores, strict=True) if label != name]
    return float(np.mean([(a > b) + 0.5 * (a == b) for a in own for b in others]))


def test_metrics_are_scikit_learn_s() -> None:
    """With every class present, each average is scikit-learn's macro average."""
    table = random_table(CLASSES)
    found = metrics.compute_metrics(table, classes=CLASSES)
    true, answers = table.emotion, table.predicted
    assert found["uar"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(true, answers))
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(true, answers))
    for name, function in (("precision", "precision_score"), ("uar", "recall_score"), ("f1", "f1_score")):
        assert found[name] == pytest.approx(getattr(sklearn_metrics, function)(true, answers, average="macro")), name
    in_sklearn_s_order = table[[f"prob_{name}" for name in sorted(CLASSES)]]
    area = sklearn_metrics.roc_auc_score(true, in_sklearn_s_order, multi_class="ovr", average="macro")
    assert found["roc_auc"] == pytest.approx(area)


def test_a_class_that_does_not_occur_is_left_out() -> None:
    """Its recall, precision and area do not exist, so averages are over the others."""
    classes = ["neutral", "calm", "happy", "sad"]
    table = random_table(classes, absent="calm")
    found = metrics.compute_metrics(table, classes=classes)
    present = ["neutral", "happy", "sad"]
    assert "recall_calm" not in found
    assert {key for key in found if key.startswith("recall_")} == {f"recall_{name}" for name in present}
    for name, function in (("precision", "precision_score"), ("uar", "recall_score"), ("f1", "f1_score")):
        score = getattr(sklearn_metrics, function)(table.emotion, table.predicted, labels=present, average="macro")
        assert found[name] == pytest.approx(score), name
    areas = [sklearn_metrics.roc_auc_score(table.emotion == name, table[f"prob_{name}"]) for name in present]
    assert found["roc_auc"] == pytest.approx(np.mean(areas))
    assert all(0 <= value <= 1 for key, value in found.items() if key != "clips")


def test_a_perfect_model() -> None:
    """Whoever is always right gets 1 everywhere."""
    found = metrics.compute_metrics(factories.predicted(TRUE, TRUE, classes=CLASSES), classes=CLASSES)
    assert {value for key, value in found.items() if key != "clips"} == {1.0}


def test_one_class_has_no_area() -> None:
    """Where all clips are of one class, the area under the curve is not a number, and the rest stands."""
    found = metrics.compute_metrics(
        factories.predicted(["sad"] * 3, ["sad", "sad", "happy"], classes=CLASSES), classes=CLASSES
    )
    assert math.isnan(found["roc_auc"])
    assert found["uar"] == pytest.approx(2 / 3)


# The splits of a model ------------------------------------------------------------------------------------------------


def split_in_two() -> pd.DataFrame:
    return factories.predicted(TRUE, ANSWERS, split=["val", "test"] * 4, classes=CLASSES)


def test_each_part_is_judged_apart() -> None:
    """Validation and test clips have numbers of their own."""
    found = metrics.evaluate(split_in_two())
    assert set(found) == {"val", "test"}
    for split in found:
        assert found[split] == metrics.compute_metrics(split_in_two()[lambda t, s=split: t.split == s], classes=CLASSES)


def test_copies_are_not_in_the_headline() -> None:
    """Altered copies, all of them wrong here, change no number."""
    wrong = {"neutral": "sad", "happy": "sad", "sad": "neutral"}
    copies = split_in_two().assign(augmentation="noise", predicted=[wrong[name] for name in TRUE])
    copies["clip_id"] += "+noise.1"
    assert metrics.evaluate(pd.concat([split_in_two(), copies])) == metrics.evaluate(split_in_two())


def test_confusion_counts_in_canonical_order() -> None:
    """Rows are what was meant, columns what was heard, both in the order of the classes, also where empty."""
    classes = ["neutral", "calm", "happy", "sad"]
    counts = metrics.confusion(factories.predicted(TRUE, ANSWERS, classes=classes), classes=classes)
    assert counts.index.to_list() == counts.columns.to_list() == classes
    assert (counts.index.name, counts.columns.name) == ("emotion", "predicted")
    assert counts.to_numpy().tolist() == [[3, 0, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 2]]


# Curves, top k and kappa ----------------------------------------------------------------------------------------------


def test_curves_have_scikit_learn_s_areas() -> None:
    """Each class that some but not all clips have has a curve, in canonical order, with the known area below it."""
    table = random_table(FOUR, n=200)
    curves = metrics.roc_curves(table)
    assert list(curves.emotion.unique()) == FOUR
    for name, curve in curves.groupby("emotion"):
        area = sklearn_metrics.roc_auc_score(table.emotion == name, table[f"prob_{name}"])
        assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(area)
    assert set(metrics.roc_curves(table[table.emotion != "sad"]).emotion) == {"neutral", "happy", "angry"}
    assert metrics.roc_curves(table[table.emotion == "sad"]).empty


def test_top_k() -> None:
    """The first is the accuracy, all of them are always right, and between them it is scikit-learn's number."""
    table = random_table(FOUR, n=200)
    codes = pd.Categorical(table.emotion, categories=FOUR).codes
    shares = table[[f"prob_{name}" for name in FOUR]]
    assert metrics.top_k_accuracy(table, 1) == pytest.approx((table.emotion == table.predicted).mean())
    expected = sklearn_metrics.top_k_accuracy_score(codes, shares, k=2)
    assert metrics.top_k_accuracy(table, 2) == pytest.approx(expected)
    assert metrics.top_k_accuracy(table, 4) == 1


def test_kappa() -> None:
    """Agreement on 3 of 4 where chance gives a half is a half; where all is one class there is none."""
    table = factories.predicted(["sad", "sad", "happy", "happy"], ["sad", "sad", "happy", "sad"], classes=FOUR)
    assert metrics.cohen_kappa(table) == pytest.approx(0.5)
    assert np.isnan(metrics.cohen_kappa(table[:2]))
