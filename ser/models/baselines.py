"""Fit, save and load classical classifiers on functionals, as scikit-learn pipelines with a grid search."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.metrics import recall_score
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from ser.dataset.splits import grouped_cv
from ser.models import serialization
from ser.params import Protocol
from ser.predictions.temperature import minimize_nll, softmax_with_temperature
from ser.utils.errors import UserError
from ser.utils.files import write_text
from ser.utils.parallel import n_workers

if TYPE_CHECKING:
    from ser.models.dataset import Dataset

MODEL = "model.skops"
SMOOTHING = 0.01
"""Added to the probabilities of classifiers without decision function before taking the logarithm. Few neighbors or
trees often give 0, which does not mean that an emotion is impossible."""


class KernelTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Compute the kernel matrix between rows and the training rows.

    Matrix products over thousands of features take at most a tenth of the time of libsvm, which computes the kernel for
    one pair of rows at a time.

    Parameters
    ----------
    kernel, gamma, degree, coef0
        Parameters of `sklearn.svm.SVC`; kernels are linear, rbf, poly and sigmoid.
    """

    def __init__(self, kernel: str = "rbf", gamma: float | str = "scale", degree: int = 3, coef0: float = 0.0) -> None:
        self.kernel, self.gamma, self.degree, self.coef0 = kernel, gamma, degree, coef0

    def fit(self, vectors: npt.NDArray[np.floating[Any]], labels: object = None) -> KernelTransformer:
        """Store the training rows (n_rows, n_features) and resolve gamma like `SVC`."""
        self.rows_ = np.asarray(vectors, dtype=np.float64)
        scales = {"auto": 1.0, "scale": self.rows_.var()}
        if isinstance(self.gamma, str) and self.gamma in scales:
            self.gamma_ = 1 / (self.rows_.shape[1] * scales[self.gamma])
        elif isinstance(self.gamma, int | float) and self.gamma >= 0:
            self.gamma_ = self.gamma
        else:
            raise ValueError(f"gamma is {self.gamma!r}; expected scale, auto or a number >= 0.")
        return self

    def transform(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Compute the kernel matrix: (n_rows, n_features) -> (n_rows, n_training_rows)."""
        params = {"gamma": self.gamma_, "degree": self.degree, "coef0": self.coef0}
        rows = np.asarray(vectors, dtype=np.float64)
        return np.asarray(pairwise_kernels(rows, self.rows_, metric=self.kernel, filter_params=True, **params))


class TemperatureScaledClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fit a classifier whose probabilities are the softmax of its decision function divided by a temperature.

    The class with the highest probability is that of the decision function at any temperature. Per-class sigmoids
    (Platt scaling) do not ensure this: with few training speakers, some of them decrease.

    Parameters
    ----------
    estimator : estimator
        Has `predict_proba`, or the `decision_function` of `SVC` (one-vs-rest).
    temperature : float
        Fitted by `fit`, the function, on out-of-fold decision values.
    """

    def __init__(self, estimator: BaseEstimator, temperature: float = 1.0) -> None:
        self.estimator, self.temperature = estimator, temperature

    def fit(self, vectors: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]) -> TemperatureScaledClassifier:
        """Fit a copy of the estimator."""
        self.estimator_ = clone(self.estimator).fit(vectors, labels)
        self.classes_ = self.estimator_.classes_
        return self

    def decision_function(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Compute the (n_rows, n_classes) margins of a support vector classifier, or log smoothed probabilities."""
        if not hasattr(self.estimator_, "decision_function"):
            return np.asarray(np.log(self.estimator_.predict_proba(vectors) + SMOOTHING))
        values = self.estimator_.decision_function(vectors)
        return _margins(values) if values.ndim == 2 else np.column_stack([-values, values])

    def predict_proba(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
        """Compute (n_rows, n_classes) probabilities."""
        return softmax_with_temperature(self.decision_function(vectors), self.temperature)

    def predict(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """Predict the class with the highest decision value of each row."""
        return np.asarray(self.classes_[self.decision_function(vectors).argmax(axis=1)])


def _margins(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert decision values of `SVC`, won pairs of classes + s / (3 |s| + 3), to s, the sum of the pairs' margins.

    The number of won pairs hardly depends on how certain a row is. It determines the predicted class, which keeps the
    highest value.
    """
    excess = 3 * (values - values.round())
    margins = excess / (1 - np.abs(excess))
    margins[np.arange(len(values)), values.argmax(axis=1)] = margins.max(axis=1) + 1e-3
    return np.asarray(margins)


def _knn(seed: int) -> BaseEstimator:
    from sklearn.neighbors import KNeighborsClassifier

    # In many dimensions, angles discriminate better than distances, and neighbor trees are of no use.
    return KNeighborsClassifier(algorithm="brute", metric="cosine")


def _random_forest(seed: int) -> BaseEstimator:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(class_weight="balanced", random_state=seed)


BASELINES: Mapping[str, Callable[[int], BaseEstimator]] = {
    "svm": lambda seed: SVC(kernel="precomputed", class_weight="balanced", random_state=seed),
    "knn": _knn,
    "random_forest": _random_forest,
    "decision_tree": lambda seed: DecisionTreeClassifier(class_weight="balanced", random_state=seed),
}
"""Name -> function that creates a classifier with a seed. The grids are in params.yaml."""

EXTRA_STEPS: Mapping[str, Sequence[tuple[str, Callable[[], BaseEstimator]]]] = {
    "svm": [("kernel", KernelTransformer)],
    "knn": [("whiten", partial(PCA, 0.9, whiten=True, svd_solver="full"))],
}
"""Name -> steps between scaling and classifier; grids may contain their parameters.

KNN uses whitened principal components (90 % of the variance), because distances would count correlated functionals
several times.
"""

TRUSTED = (
    "ser.models.baselines.KernelTransformer",
    "ser.models.baselines.TemperatureScaledClassifier",
    "sklearn.tree._tree.Tree",
)
"""Types that a saved baseline may contain, in addition to those that skops trusts."""


def fit(
    name: str,
    vectors: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    grid: Mapping[str, Sequence[Any]],
    folds: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    seed: int,
) -> tuple[TemperatureScaledClassifier, pd.DataFrame]:
    """Search a grid by cross-validation, then fit the best combination on all training clips.

    Parameters
    ----------
    name : str
        Key of `BASELINES`.
    vectors : ndarray of shape (n_clips, n_functionals)
    labels : ndarray of shape (n_clips,)
        Class indices.
    grid : mapping of str to sequence
        Parameter of the classifier, or of a step in `EXTRA_STEPS`, -> values.
    folds : sequence of (ndarray, ndarray)
        Row positions to train and to test on.
    seed : int

    Returns
    -------
    model : TemperatureScaledClassifier
        Its temperature minimizes the negative log-likelihood of the out-of-fold decision values.
    search : DataFrame
        One row per combination: parameters, mean and standard deviation of UAR over the folds, and rank.

    Raises
    ------
    UserError
        If the classifier does not accept the grid, or functionals are not finite.

    Notes
    -----
    `GridSearchCV` does not keep decision values, and fitting all folds again for the temperature takes half as long as
    the search of a forest.
    """
    grid = _feasible_grid(grid, max_neighbors=min(len(train) for train, _ in folds), name=name)
    extra_steps = [(step, make()) for step, make in EXTRA_STEPS.get(name, [])]
    pipeline = Pipeline([("scale", StandardScaler()), *extra_steps, ("model", BASELINES[name](seed))])
    combinations = list(
        ParameterGrid({_qualify_param(key, pipeline, name=name): values for key, values in grid.items()})
    )
    models = [TemperatureScaledClassifier(clone(pipeline).set_params(**params)) for params in combinations]
    codes = np.unique(labels, return_inverse=True)[1]
    with threadpool_limits(1), joblib.parallel_config("threading"):  # processes would take seconds to start
        if not np.isfinite(vectors).all():
            raise UserError(f"functionals for {name} contain NaN or infinity; run `dvc repro -f featurize`.")
        groups = _group_by_preprocessing(combinations)
        tasks = [
            joblib.delayed(_decision_values)([models[n] for n in group], vectors, codes, fold)
            for group in groups
            for fold in folds
        ]
        try:
            results = iter(joblib.Parallel(n_jobs=n_workers())(tasks))
        except ValueError as error:
            raise UserError(f"params.yaml: train_baselines.grids.{name}: {error}") from None
        values: list[list[npt.NDArray[np.float64]]] = [[] for _ in models]
        for group, _ in itertools.product(groups, folds):
            for n, decisions in zip(group, next(results), strict=True):
                values[n].append(decisions)
        true = [codes[test] for _, test in folds]
        uars = np.array([[_uar(*fold) for fold in zip(true, of_model, strict=True)] for of_model in values])
        best = int(uars.mean(axis=1).argmax())
        out_of_fold = np.concatenate(values[best])
        model = models[best].set_params(temperature=minimize_nll(out_of_fold, np.concatenate(true)))
        with joblib.parallel_config("threading", n_jobs=n_workers()):  # trees of a forest
            model.fit(vectors, labels)
    search = pd.DataFrame(combinations, dtype=object)
    search.columns = [column.rpartition("__")[2] for column in search]
    search = search.assign(uar_mean=uars.mean(axis=1), uar_std=uars.std(axis=1))
    return model, search.assign(rank=search.uar_mean.rank(ascending=False, method="min").astype(int))


def _group_by_preprocessing(combinations: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Group the positions of combinations that differ in parameters of the classifier only."""
    groups: dict[str, list[int]] = {}
    for n, params in enumerate(combinations):
        key = {name: value for name, value in params.items() if not name.startswith("model__")}
        groups.setdefault(repr(sorted(key.items())), []).append(n)
    return list(groups.values())


def _decision_values(
    models: Sequence[TemperatureScaledClassifier],
    vectors: npt.NDArray[np.float32],
    codes: npt.NDArray[np.int64],
    fold: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> list[npt.NDArray[np.float64]]:
    """Fit models on the training rows of a fold; compute the values of its test rows, -inf for classes not in training.

    The steps before the classifiers, such as a kernel matrix, are computed once.
    """
    train, test = fold
    steps = clone(models[0].estimator[:-1])
    inputs, test_inputs = steps.fit_transform(vectors[train], codes[train]), steps.transform(vectors[test])
    results = []
    for model in models:
        fitted = TemperatureScaledClassifier(model.estimator[-1]).fit(inputs, codes[train])
        values = np.full((len(test), codes.max() + 1), -np.inf)
        values[:, fitted.classes_] = fitted.decision_function(test_inputs)
        results.append(values)
    return results


def _uar(true: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> float:
    """Compute the UAR of the classes in the fold."""
    return float(recall_score(true, values.argmax(axis=1), average="macro", zero_division=np.nan))


def train(
    data: Dataset,
    seed: int,
    folder: Path,
    *,
    name: str,
    grid: Mapping[str, Sequence[Any]],
    folds: int,
    protocol: Protocol,
) -> npt.NDArray[np.float64]:
    """Fit a baseline on one fold, save it with its grid search, and predict the validation and test clips.

    Parameters
    ----------
    data : Dataset
        One fold.
    seed, name, grid
        Parameters of `fit`; the seed is also that of the folds.
    folder : Path
        Folder for the model and ``grid_search.csv``.
    folds : int
        Number of folds of the grid search.
    protocol : str
        `split.protocol` of the settings; the folds of the grid search follow it.

    Returns
    -------
    ndarray of shape (n_clips, n_classes)
        Probabilities.
    """
    inner = grouped_cv(data.clips("train"), folds=folds, seed=seed, protocol=protocol)
    model, search = fit(name, data.functionals("train"), data.labels("train"), grid=grid, folds=inner, seed=seed)
    save(model, folder)
    write_text(folder / "grid_search.csv", search.to_csv(index=False, lineterminator="\n"))
    return predict(model, data.functionals("val", "test"))


def _feasible_grid(grid: Mapping[str, Sequence[Any]], *, max_neighbors: int, name: str) -> dict[str, list[Any]]:
    """Drop values of `n_neighbors` above the number of clips in the smallest training fold of the search."""
    feasible = {key: list(values) for key, values in grid.items()}
    if "n_neighbors" in feasible:
        values = feasible["n_neighbors"]
        feasible["n_neighbors"] = [n for n in values if not isinstance(n, int) or n <= max_neighbors]
        if not feasible["n_neighbors"]:
            raise UserError(
                f"params.yaml: train_baselines.grids.{name}: n_neighbors is {min(values)} or more, but a fold of the "
                f"search trains on {max_neighbors} clips; add a number up to that, or more recordings."
            )
    return feasible


def _qualify_param(key: str, pipeline: Pipeline, *, name: str) -> str:
    """Prefix a parameter with its step; the first step that has it takes precedence."""
    steps = {param: step for step, estimator in reversed(pipeline.steps[1:]) for param in estimator.get_params()}
    if key not in steps:
        expected = ", ".join(sorted(steps))
        raise UserError(f"params.yaml: train_baselines.grids.{name}: {key} is not a parameter; expected {expected}.")
    return f"{steps[key]}__{key}"


def predict(model: Any, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Predict (n_clips, n_classes) probabilities from (n_clips, n_functionals) functionals."""
    with threadpool_limits(1):
        return np.asarray(model.predict_proba(vectors))


def save(model: BaseEstimator, folder: Path) -> None:
    """Save a model as ``model.skops``, a format that runs no code when loaded, without memory addresses."""
    from skops import io

    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(serialization.canonical_skops(io.dumps(model)))


def load(folder: Path) -> Any:
    """Load a model saved by `save`; files with types that no baseline contains are refused."""
    from skops import io

    return io.load(folder / MODEL, trusted=list(TRUSTED))
