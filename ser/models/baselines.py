"""Fit, save and load classical classifiers on functionals, as scikit-learn pipelines with a grid search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.metrics import make_scorer, recall_score
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from ser.dataset.splits import grouped_cv
from ser.models import serialization
from ser.params import Protocol
from ser.utils.errors import UserError
from ser.utils.files import write_text
from ser.utils.parallel import n_workers

if TYPE_CHECKING:
    from ser.models.dataset import Dataset

MODEL = "model.skops"


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
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
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
) -> tuple[BaseEstimator, pd.DataFrame]:
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
    model : estimator
        Has `predict_proba`; classifiers without it are calibrated on the same folds (Platt scaling).
    search : DataFrame
        One row per combination: parameters, mean and standard deviation of UAR over the folds, and rank.

    Raises
    ------
    UserError
        If the classifier does not accept the grid, or functionals are not finite.
    """
    grid = _feasible_grid(grid, max_neighbors=min(len(train) for train, _ in folds), name=name)
    extra_steps = [(step, make()) for step, make in EXTRA_STEPS.get(name, [])]
    pipeline = Pipeline([("scale", StandardScaler()), *extra_steps, ("model", BASELINES[name](seed))])
    search = GridSearchCV(
        pipeline,
        {_qualify_param(key, pipeline, name=name): values for key, values in grid.items()},
        scoring=make_scorer(recall_score, average="macro", zero_division=np.nan),  # UAR of classes in the fold
        cv=folds,
        n_jobs=n_workers(),
        refit=False,
        error_score="raise",
    )
    with threadpool_limits(1), joblib.parallel_config("threading"):  # processes would take seconds to start
        if not np.isfinite(vectors).all():
            raise UserError(f"functionals for {name} contain NaN or infinity; run `dvc repro -f featurize`.")
        try:
            search.fit(vectors, labels)
        except ValueError as error:
            raise UserError(f"params.yaml: train_baselines.grids.{name}: {error}") from None
        best = pipeline.set_params(**search.best_params_)
        model = best if hasattr(best, "predict_proba") else CalibratedClassifierCV(best, cv=folds, ensemble=False)
        with joblib.parallel_config("threading", n_jobs=n_workers()):  # trees of a forest, folds of a calibration
            model.fit(vectors, labels)
    results = pd.DataFrame(search.cv_results_)
    parameters = results[[column for column in results if column.startswith("param_")]]
    parameters.columns = [column.rpartition("__")[2] for column in parameters]
    scores = results[["mean_test_score", "std_test_score", "rank_test_score"]]
    return model, parameters.join(scores.set_axis(["uar_mean", "uar_std", "rank"], axis=1))


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
