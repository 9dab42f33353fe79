"""Classical models are found by a search over training folds, scale by themselves, and give probabilities."""

import os
import pickle
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from ser.models import baselines
from ser.utils.errors import UserError
from tests.helpers import tiny_models

NAMES = list(baselines.BASELINES)


@cache
def fitted(name: str) -> tuple[Any, pd.DataFrame]:
    return tiny_models.baseline(name)


def fit(name: str, values: Any, labels: Any, *, grid: Any = None, folds: Any = None, seed: int = 1) -> Any:
    folds = tiny_models.folds() if folds is None else folds
    return baselines.fit(name, values, labels, grid=grid or tiny_models.GRIDS[name], folds=folds, seed=seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_learns(name: str) -> None:
    """Every baseline tells three classes apart that are apart, on rows it never saw."""
    values, labels = tiny_models.vectors(90, seed=5)
    answers = baselines.predict(fitted(name)[0], values).argmax(axis=1)
    assert balanced_accuracy_score(labels, answers) > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_probabilities(name: str) -> None:
    """Each row has a probability a class, none negative, which add up to 1; the svm's too."""
    probabilities = baselines.predict(fitted(name)[0], tiny_models.vectors(30, seed=2)[0])
    assert probabilities.shape == (30, 3)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_s_probabilities_are_its_own(name: str) -> None:
    """They depend neither on the other rows nor on their order."""
    values = tiny_models.vectors(30, seed=2)[0]
    together = baselines.predict(fitted(name)[0], values)
    np.testing.assert_allclose(baselines.predict(fitted(name)[0], values[::-1])[::-1], together, atol=1e-9)
    np.testing.assert_allclose(baselines.predict(fitted(name)[0], values[:1]), together[:1], atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name: str) -> None:
    """The same seed gives the same model."""
    values = tiny_models.vectors(30, seed=2)[0]
    again = tiny_models.baseline(name)[0]
    np.testing.assert_array_equal(baselines.predict(again, values), baselines.predict(fitted(name)[0], values))


def test_another_seed_gives_another_forest() -> None:
    """The seed reaches the classifier."""
    values = tiny_models.vectors(30, seed=2)[0]
    other = tiny_models.baseline("random_forest", seed=2)[0]
    assert (baselines.predict(other, values) != baselines.predict(fitted("random_forest")[0], values)).any()


@pytest.mark.parametrize("name", ["svm", "knn"])
def test_units_do_not_matter(name: str) -> None:
    """Scaling is part of the model: features measured in other units give the same probabilities."""
    values, labels = tiny_models.vectors()
    held_out = tiny_models.vectors(30, seed=2)[0]
    units, origin = np.array([1000, 0.01, 1, 5, 1e-3], dtype=np.float32), np.float32(7)
    model, _ = fit(name, values * units + origin, labels)
    found = baselines.predict(model, held_out * units + origin)
    np.testing.assert_allclose(found, baselines.predict(fitted(name)[0], held_out), atol=1e-3)


@pytest.mark.parametrize(
    "kernel", [{"kernel": "linear"}, {"kernel": "rbf", "gamma": 0.1}, {"kernel": "rbf", "gamma": "scale"},
               {"kernel": "poly", "gamma": "auto", "degree": 2, "coef0": 1.0}],
)  # fmt: skip
def test_the_svm_is_that_of_its_library(kernel: dict[str, Any]) -> None:
    """Kernels as whole matrices give the decisions of scikit-learn's own, within its tolerance of 1e-3."""
    (values, labels), held_out = tiny_models.vectors(), tiny_models.vectors(30, seed=2)[0]
    grid = {"C": [0.5]} | {key: [value] for key, value in kernel.items()}
    model = fit("svm", values, labels, grid=grid)[0].calibrated_classifiers_[0].estimator
    reference = make_pipeline(StandardScaler(), SVC(C=0.5, class_weight="balanced", **kernel)).fit(values, labels)
    np.testing.assert_allclose(model.decision_function(held_out), reference.decision_function(held_out), atol=1e-3)


@pytest.mark.parametrize("wrong", [{"kernel": ["rfb"]}, {"gamma": [[0.1]]}, {"gamma": ["big"]}, {"gamma": [-1.0]}])
def test_a_kernel_that_does_not_exist(wrong: dict[str, Any]) -> None:
    """Kernels and numbers that the svm does not take are refused in a sentence that names the grid."""
    with pytest.raises(UserError, match=r"train_baselines\.grids\.svm"):
        fit("svm", *tiny_models.vectors(), grid={"C": [1.0]} | wrong)


def test_scaling_is_fitted_on_the_rows_given() -> None:
    """The saved model holds mean and deviation of the training rows, and of no others."""
    scaler = fitted("knn")[0].named_steps["scale"]
    np.testing.assert_allclose(
        scaler.mean_, tiny_models.vectors()[0].mean(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-6
    )
    assert scaler.n_samples_seen_ == 60


def test_repeated_features_do_not_count_more_for_neighbours() -> None:
    """Nearest neighbours see what functionals say, not how many say it: copies of one change nothing."""
    values, labels = tiny_models.vectors()
    held_out = tiny_models.vectors(30, seed=2)[0]
    columns = [0, 1, 2, 3, 3, 3, 4]
    found = baselines.predict(fit("knn", values[:, columns], labels)[0], held_out[:, columns])
    np.testing.assert_allclose(found, baselines.predict(fitted("knn")[0], held_out), atol=1e-3)


def test_the_search_is_over_the_folds_given() -> None:
    """Its score is the mean UAR of the folds' test rows, scaled and trained on the folds' training rows alone."""
    values, labels = tiny_models.vectors()
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(60) < 0.3, rng.integers(0, 3, size=60), labels)
    folds = tiny_models.folds()
    search = fit("knn", values, labels, folds=folds)[1]
    scores = []
    for train, test in folds:
        neighbours = KNeighborsClassifier(3, weights="distance", algorithm="brute", metric="cosine")
        model = make_pipeline(StandardScaler(), PCA(0.9, whiten=True, svd_solver="full"), neighbours)
        answers = model.fit(values[train], labels[train]).predict(values[test])
        scores.append(balanced_accuracy_score(labels[test], answers))
    assert search.uar_mean[0] == pytest.approx(np.mean(scores))
    assert search.uar_std[0] == pytest.approx(np.std(scores))
    assert np.mean(scores) < 0.95


def test_the_search_takes_the_best() -> None:
    """Every combination is tried and ranked, and the model is the best of them, fitted on all rows."""
    grid = {"max_depth": [1, 3], "min_samples_leaf": [1, 2]}
    model, search = fit("decision_tree", *tiny_models.vectors(), grid=grid)
    assert list(search) == ["max_depth", "min_samples_leaf", "uar_mean", "uar_std", "rank"]
    assert sorted(zip(search.max_depth, search.min_samples_leaf, strict=True)) == [(1, 1), (1, 2), (3, 1), (3, 2)]
    best = search.sort_values("rank").iloc[0]
    assert best.uar_mean == search.uar_mean.max() > search.uar_mean.min()
    tree = model.named_steps["model"]
    assert tree.max_depth == best.max_depth == 3
    assert tree.tree_.n_node_samples[0] == 60


def test_the_best_svm_is_calibrated() -> None:
    """The svm whose probabilities are given is the one the search found, not one with other parameters."""
    model, search = fit("svm", *tiny_models.vectors(), grid={"C": [1e-6, 1.0], "gamma": [0.3]})
    assert search.set_index("C")["rank"].idxmin() == 1.0
    steps = model.calibrated_classifiers_[0].estimator.named_steps
    assert (steps["model"].C, steps["kernel"].gamma) == (1.0, 0.3)


def test_a_grid_may_name_what_stands_before_neighbours() -> None:
    """How many principal components they see is searched like their own number, and the best is kept."""
    model, search = fit("knn", *tiny_models.vectors(), grid={"n_components": [1, 5], "n_neighbors": [3]})
    assert {"n_components", "n_neighbors"} < set(search)
    assert search.set_index("n_components")["rank"].idxmin() == 5
    assert model.named_steps["whiten"].n_components_ == 5


def test_more_neighbours_than_clips_are_not_tried() -> None:
    """Of few recordings, the search tries the numbers of neighbours that there are; with none it says what to do."""
    values, labels = tiny_models.vectors(18)
    search = fit("knn", values, labels, grid={"n_neighbors": [5, 12, 15, 35]}, folds=tiny_models.folds(18))[1]
    assert sorted(search.n_neighbors) == [5, 12]
    with pytest.raises(UserError, match=r"grids\.knn: n_neighbors is 15 or more, but .* 12 clips; add"):
        fit("knn", values, labels, grid={"n_neighbors": [15, 35]}, folds=tiny_models.folds(18))


def test_a_parameter_that_does_not_exist() -> None:
    """A misspelt key of a grid is refused in a sentence that names it, and the known ones."""
    with pytest.raises(UserError, match=r"train_baselines\.grids\.svm.*gama.*gamma"):
        fit("svm", *tiny_models.vectors(), grid={"gama": [1]})


# Saving and loading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_baseline_needs_no_other_trust(name: str, tmp_path: Path) -> None:
    """The types that are trusted suffice for every baseline, and it predicts as before."""
    baselines.save(fitted(name)[0], tmp_path / "models" / name)
    values = tiny_models.vectors(30, seed=2)[0]
    loaded = baselines.load(tmp_path / "models" / name)
    np.testing.assert_array_equal(baselines.predict(loaded, values), baselines.predict(fitted(name)[0], values))


@pytest.mark.parametrize("function", [os.system, eval, tiny_models.vectors])
def test_foreign_types_are_refused(tmp_path: Path, function: Any) -> None:
    """A file that holds a function, which would run when the model predicts, is not loaded."""
    from skops.io.exceptions import UntrustedTypesFoundException

    baselines.save(FunctionTransformer(function), tmp_path)
    with pytest.raises(UntrustedTypesFoundException, match="Untrusted types"):
        baselines.load(tmp_path)


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.file,)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    """A pickle under the model's name is refused, and its code does not run."""
    content = pickle.dumps(Payload(tmp_path / "ran"))
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(BadZipFile):
        baselines.load(tmp_path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)
    assert (tmp_path / "ran").exists()
