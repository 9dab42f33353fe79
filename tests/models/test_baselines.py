"""Baselines are tuned on training folds, contain their scaling, and predict probabilities."""

import os
import pickle
from collections import Counter
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import ParameterGrid
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from ser.models import baselines
from ser.predictions.temperature import TEMPERATURES
from ser.utils.errors import UserError
from tests.helpers import tiny_models

VALUES, LABELS = tiny_models.vectors()
HELD_OUT, HELD_OUT_LABELS = tiny_models.vectors(30, seed=2)


@cache
def fitted(name: str) -> tuple[Any, pd.DataFrame]:
    return tiny_models.baseline(name)


def fit(name: str, values: Any = VALUES, labels: Any = LABELS, *, grid: Any = None, folds: Any = None) -> Any:
    folds = tiny_models.folds() if folds is None else folds
    return baselines.fit(name, values, labels, grid=grid or tiny_models.GRIDS[name], folds=folds, seed=1)


def predict(name: str) -> Any:
    return baselines.predict(fitted(name)[0], HELD_OUT)


@pytest.mark.parametrize("name", list(baselines.BASELINES))
def test_probabilities(name: str) -> None:
    """Probabilities are valid, mostly correct, the same if trained again, and independent of the other rows."""
    probabilities = predict(name)
    assert probabilities.shape == (30, 3)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)
    assert balanced_accuracy_score(HELD_OUT_LABELS, probabilities.argmax(axis=1)) > 0.8
    model = fitted(name)[0]
    np.testing.assert_allclose(baselines.predict(model, HELD_OUT[::-1])[::-1], probabilities, atol=1e-9)
    np.testing.assert_allclose(baselines.predict(model, HELD_OUT[:1]), probabilities[:1], atol=1e-9)
    np.testing.assert_array_equal(baselines.predict(tiny_models.baseline(name)[0], HELD_OUT), probabilities)


def few_speakers(n: int, *, n_classes: int = 5, seed: int = 0) -> tuple[Any, Any, Any]:
    """Make clips whose emotions differ less than speakers, and folds that each hold out one of the speakers."""
    rng = np.random.default_rng(seed)
    labels, speakers = np.arange(40 * n) % n_classes, np.arange(40 * n) // 40
    values = rng.normal(size=(n_classes, 8))[labels] + 3 * rng.normal(size=(n, n_classes, 8))[speakers, labels]
    folds = [(np.flatnonzero(speakers != one), np.flatnonzero(speakers == one)) for one in range(n)]
    return (values + rng.normal(size=values.shape)).astype(np.float32), labels.astype(np.int64), folds


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("n_speakers", [2, 3])
@pytest.mark.parametrize("name", list(baselines.BASELINES))
def test_calibration_keeps_the_predicted_class(name: str, n_speakers: int, n_classes: int) -> None:
    """With few training speakers, the class with the highest probability is that of the classifier itself."""
    for seed in range(3):
        values, labels, folds = few_speakers(n_speakers, n_classes=n_classes, seed=seed)
        model = fit(name, values, labels, folds=folds)[0]
        unseen = few_speakers(n_speakers, n_classes=n_classes, seed=seed + 10)[0]
        if name == "svm":
            own = model.estimator_.decision_function(unseen)
            expected = (own > 0).astype(int) if n_classes == 2 else own.argmax(axis=1)
        else:
            expected = model.estimator_.predict(unseen)
        np.testing.assert_array_equal(baselines.predict(model, unseen).argmax(axis=1), expected)
        np.testing.assert_array_equal(model.predict(unseen), expected)


def test_per_class_sigmoids_change_the_predicted_class() -> None:
    """The clips of the test above are such that Platt scaling fails it."""
    from sklearn.calibration import CalibratedClassifierCV

    values, labels, folds = few_speakers(2)
    model = fit("svm", values, labels, folds=folds)[0].estimator_
    platt = CalibratedClassifierCV(model, cv=folds, ensemble=False).fit(values, labels)
    assert (platt.predict(values) != model.decision_function(values).argmax(axis=1)).mean() > 0.2


@pytest.mark.parametrize("name", list(baselines.BASELINES))
def test_temperature_is_fitted_on_folds(name: str) -> None:
    """It minimizes the negative log-likelihood of clips of speakers that the classifier is not trained on."""
    values, labels, folds = few_speakers(3)
    model = fit(name, values, labels, folds=folds)[0]
    true = np.concatenate([labels[test] for _, test in folds])
    out_of_fold = [
        clone(model).fit(values[train], labels[train]).decision_function(values[test]) for train, test in folds
    ]

    def loss(temperature: float) -> float:
        return float(log_loss(true, softmax(np.concatenate(out_of_fold) / temperature, axis=1)))

    assert loss(model.temperature) <= min(map(loss, np.geomspace(*TEMPERATURES, 200))) + 1e-4
    assert 1.5 * loss(model.temperature) < loss(TEMPERATURES[0])


@pytest.mark.parametrize("name", list(baselines.BASELINES))
def test_emotion_of_a_single_speaker(name: str) -> None:
    """An emotion that is not in the training part of a fold neither fails nor determines the temperature."""
    values, labels, folds = few_speakers(3)
    labels[folds[0][1][::2]] = 5
    model = fit(name, values, labels, folds=folds)[0]
    assert baselines.predict(model, values).shape == (120, 6)
    assert TEMPERATURES[0] < model.temperature < TEMPERATURES[1]


@pytest.mark.parametrize("name", list(baselines.BASELINES))
def test_classifiers_are_fitted_once_per_combination_and_fold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration does not fit folds again; inputs are scaled once per fold."""
    fits: Counter[str] = Counter()
    classes = [StandardScaler, baselines.TemperatureScaledClassifier]
    for cls, fit_once in [(cls, cls.fit) for cls in classes]:

        def count(self: Any, *args: Any, fit_once: Any = fit_once, name: str = cls.__name__) -> Any:
            fits[name] += 1
            return fit_once(self, *args)

        monkeypatch.setattr(cls, "fit", count)
    fit(name)
    n_combinations = len(ParameterGrid(tiny_models.GRIDS[name]))
    assert fits == {"StandardScaler": 3 + 1, "TemperatureScaledClassifier": n_combinations * 3 + 1}


def test_seed_of_the_classifier() -> None:
    """Another seed gives another forest."""
    other = tiny_models.baseline("random_forest", seed=2)[0]
    assert (baselines.predict(other, HELD_OUT) != predict("random_forest")).any()


@pytest.mark.parametrize("name", ["svm", "knn"])
def test_scaling_is_part_of_the_model(name: str) -> None:
    """Features in other units give the same probabilities."""
    scale, offset = np.array([1000, 0.01, 1, 5, 1e-3], dtype=np.float32), np.float32(7)
    model, _ = fit(name, VALUES * scale + offset)
    np.testing.assert_allclose(baselines.predict(model, HELD_OUT * scale + offset), predict(name), atol=1e-3)


@pytest.mark.parametrize(
    "kernel", [{"kernel": "linear"}, {"kernel": "rbf", "gamma": 0.1}, {"kernel": "rbf", "gamma": "scale"},
               {"kernel": "poly", "gamma": "auto", "degree": 2, "coef0": 1.0}],
)  # fmt: skip
def test_svm_equals_scikit_learn(kernel: dict[str, Any]) -> None:
    """Precomputed kernels give the decision function of `SVC` with its own kernels."""
    grid = {"C": [0.5]} | {key: [value] for key, value in kernel.items()}
    model = fit("svm", grid=grid)[0].estimator_
    expected = make_pipeline(StandardScaler(), SVC(C=0.5, class_weight="balanced", **kernel)).fit(VALUES, LABELS)
    np.testing.assert_allclose(model.decision_function(HELD_OUT), expected.decision_function(HELD_OUT), atol=1e-3)


@pytest.mark.parametrize("n_speakers", [2, 4])
def test_svm_margins(n_speakers: int) -> None:
    """Decision values are the sums of pairwise margins, except that of the class that wins most pairs, the highest."""
    values, labels, folds = few_speakers(n_speakers)
    model = fit("svm", values, labels, folds=folds)[0]
    unseen = few_speakers(n_speakers, seed=1)[0]
    pipeline, decisions = model.estimator_, model.decision_function(unseen)
    winner = pipeline.decision_function(unseen).argmax(axis=1)
    pairs = pipeline.set_params(model__decision_function_shape="ovo").decision_function(unseen)
    sums = np.zeros((len(unseen), 5))
    for margin, (one, other) in zip(pairs.T, combinations(range(5), 2), strict=True):
        sums[:, one] += margin
        sums[:, other] -= margin
    others = np.arange(5) != winner[:, None]
    np.testing.assert_allclose(decisions[others], sums[others])
    np.testing.assert_allclose(decisions[~others], sums.max(axis=1) + 1e-3)
    assert (sums.argmax(axis=1) != winner).any()


def test_search_uses_the_given_folds() -> None:
    """Scores are the mean and standard deviation of UAR of models that are scaled and trained on each fold."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(60) < 0.3, rng.integers(0, 3, size=60), LABELS)
    search = fit("knn", labels=labels)[1]
    scores = []
    for train, test in tiny_models.folds():
        classifier = KNeighborsClassifier(3, weights="distance", algorithm="brute", metric="cosine")
        model = make_pipeline(StandardScaler(), PCA(0.9, whiten=True, svd_solver="full"), classifier)
        predicted = model.fit(VALUES[train], labels[train]).predict(VALUES[test])
        scores.append(balanced_accuracy_score(labels[test], predicted))
    assert search.uar_mean[0] == pytest.approx(np.mean(scores))
    assert search.uar_std[0] == pytest.approx(np.std(scores))
    assert np.mean(scores) < 0.95


def test_best_combination_is_fitted_on_all_rows() -> None:
    """Every combination is ranked, and the model is the best one."""
    model, search = fit("decision_tree", grid={"max_depth": [1, 3], "min_samples_leaf": [1, 2]})
    assert list(search) == ["max_depth", "min_samples_leaf", "uar_mean", "uar_std", "rank"]
    assert sorted(zip(search.max_depth, search.min_samples_leaf, strict=True)) == [(1, 1), (1, 2), (3, 1), (3, 2)]
    best = search.sort_values("rank").iloc[0]
    assert best.uar_mean == search.uar_mean.max() > search.uar_mean.min()
    tree = model.estimator_.named_steps["model"]
    assert tree.max_depth == best.max_depth == 3
    assert tree.tree_.n_node_samples[0] == 60


def test_grid_may_contain_parameters_of_extra_steps() -> None:
    """Parameters of kernel and PCA are searched, and the calibrated SVM is the best one."""
    model, search = fit("svm", grid={"C": [1e-6, 1.0], "gamma": [0.3]})
    assert search.set_index("C")["rank"].idxmin() == 1.0
    steps = model.estimator_.named_steps
    assert (steps["model"].C, steps["kernel"].gamma) == (1.0, 0.3)
    model, search = fit("knn", grid={"n_components": [1, 5], "n_neighbors": [3]})
    assert search.set_index("n_components")["rank"].idxmin() == 5
    assert model.estimator_.named_steps["whiten"].n_components_ == 5


def test_more_neighbors_than_clips() -> None:
    """Values of n_neighbors above the number of training clips are dropped; a grid without others is an error."""
    few = {"values": VALUES[:18], "labels": LABELS[:18], "folds": tiny_models.folds(18)}
    search = fit("knn", grid={"n_neighbors": [5, 12, 15, 35]}, **few)[1]
    assert sorted(search.n_neighbors) == [5, 12]
    with pytest.raises(UserError, match=r"grids\.knn: n_neighbors .*15.* 12 clips"):
        fit("knn", grid={"n_neighbors": [15, 35]}, **few)


@pytest.mark.parametrize(
    "invalid", [{"gama": [1]}, {"kernel": ["rfb"]}, {"gamma": [[0.1]]}, {"gamma": ["big"]}, {"gamma": [-1.0]}]
)
def test_invalid_grid(invalid: dict[str, Any]) -> None:
    """Unknown parameters and values are errors that name the grid and the parameter."""
    with pytest.raises(UserError, match=rf"train_baselines\.grids\.svm.*{next(iter(invalid))}"):
        fit("svm", grid={"C": [1.0]} | invalid)


@pytest.mark.parametrize("function", [os.system, eval, tiny_models.vectors])
def test_untrusted_types_are_refused(tmp_path: Path, function: Any) -> None:
    """A file with a function, which would run at prediction, is not loaded."""
    from skops.io.exceptions import UntrustedTypesFoundException

    baselines.save(FunctionTransformer(function), tmp_path)
    with pytest.raises(UntrustedTypesFoundException):
        baselines.load(tmp_path)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.file,)


def test_pickle_is_refused(tmp_path: Path) -> None:
    """A pickle with the name of the model is not loaded, and its code does not run."""
    (tmp_path / "model.skops").write_bytes(pickle.dumps(Payload(tmp_path / "executed")))
    with pytest.raises(BadZipFile):
        baselines.load(tmp_path)
    assert not (tmp_path / "executed").exists()
