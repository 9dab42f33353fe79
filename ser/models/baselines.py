"""Classical classifiers on functionals: scaling, for some a step more, and classifier in one scikit-learn pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import make_scorer, recall_score
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
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

Folds = Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]


class KernelTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Kernel between rows and those it was fitted to: (rows, features) -> (rows, fitted rows) float64.

    As products of whole matrices: with thousands of features that takes a tenth or less of the time of libsvm, which
    multiplies two rows at a time.

    Parameters
    ----------
    kernel, gamma, degree, coef0
        As of `sklearn.svm.SVC`; kernels are linear, rbf, poly and sigmoid.
    """

    def __init__(self, kernel: str = "rbf", gamma: float | str = "scale", degree: int = 3, coef0: float = 0.0) -> None:
        self.kernel, self.gamma, self.degree, self.coef0 = kernel, gamma, degree, coef0

    def fit(self, vectors: npt.NDArray[np.floating[Any]], labels: object = None) -> KernelTransformer:
        """Keep the rows; gamma `scale` and `auto` are resolved as `SVC` does."""
        self.rows_ = np.asarray(vectors, dtype=np.float64)
        usual = {"auto": 1.0, "scale": self.rows_.var()}
        if isinstance(self.gamma, str) and self.gamma in usual:
            self.gamma_ = 1 / (self.rows_.shape[1] * usual[self.gamma])
        elif isinstance(self.gamma, int | float) and self.gamma >= 0:
            self.gamma_ = self.gamma
        else:
            raise ValueError(f"gamma is {self.gamma!r}; expected scale, auto or a number, 0 or more.")
        return self

    def transform(self, vectors: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Compute the kernel."""
        numbers = {"gamma": self.gamma_, "degree": self.degree, "coef0": self.coef0}
        rows = np.asarray(vectors, dtype=np.float64)
        return np.asarray(pairwise_kernels(rows, self.rows_, metric=self.kernel, filter_params=True, **numbers))


def _svm(seed: int) -> BaseEstimator:
    from sklearn.svm import SVC

    return SVC(kernel="precomputed", class_weight="balanced", random_state=seed)


def _knn(seed: int) -> BaseEstimator:
    from sklearn.neighbors import KNeighborsClassifier

    # Angles say more than distances in many dimensions, and no tree of neighbours helps there.
    return KNeighborsClassifier(algorithm="brute", metric="cosine")


def _random_forest(seed: int) -> BaseEstimator:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(class_weight="balanced", random_state=seed)


def _decision_tree(seed: int) -> BaseEstimator:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(class_weight="balanced", random_state=seed)


BASELINES: Mapping[str, Callable[[int], BaseEstimator]] = {
    "svm": _svm,
    "knn": _knn,
    "random_forest": _random_forest,
    "decision_tree": _decision_tree,
}
"""Name -> factory of a classifier from a seed. Their grids stand in params.yaml, so that one can change alone."""


def _whitening() -> BaseEstimator:
    from sklearn.decomposition import PCA

    return PCA(0.9, whiten=True, svd_solver="full")


EXTRA_STEPS: Mapping[str, Sequence[tuple[str, Callable[[], BaseEstimator]]]] = {
    "svm": [("kernel", KernelTransformer)],
    "knn": [("whiten", _whitening)],
}
"""Name -> steps between scaling and classifier, whose parameters a grid may name too.

k nearest neighbours see principal components of unit variance (with 90 % of all) in place of functionals: many of these
say nearly the same, and a distance counts each of them. Others learn that by themselves.
"""

TRUSTED = (
    "ser.models.baselines.KernelTransformer",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.tree._tree.Tree",
)
"""Types beyond skops's own list that a saved baseline may hold."""


def fit(
    name: str,
    vectors: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    *,
    grid: Mapping[str, Sequence[Any]],
    folds: Folds,
    seed: int,
) -> tuple[BaseEstimator, pd.DataFrame]:
    """Search a grid on folds of the training rows, then fit the best on all of them.

    Parameters
    ----------
    name
        In `BASELINES`.
    vectors : (clips, features) float32
    labels : (clips,) class indices
    grid
        Parameter of the classifier, or of a step before it (`EXTRA_STEPS`) -> values to try.
    folds
        Row positions to train and to test on, apart by speaker.
    seed
        Of the classifier.

    Returns
    -------
    model
        With `predict_proba`; a classifier without probabilities is calibrated on the same folds (Platt's sigmoid).
    search : DataFrame
        A row per combination: its parameters, mean and standard deviation of UAR over the folds, and rank.

    Raises
    ------
    UserError
        If the grid holds parameters or values that the classifier does not take.
    """
    grid = _feasible_grid(grid, fewest=min(len(train) for train, _ in folds), name=name)
    between = [(step, make()) for step, make in EXTRA_STEPS.get(name, [])]
    pipeline = Pipeline([("scale", StandardScaler()), *between, ("model", BASELINES[name](seed))])
    search = GridSearchCV(
        pipeline,
        {_qualify_param(key, pipeline, name=name): values for key, values in grid.items()},
        scoring=make_scorer(recall_score, average="macro", zero_division=np.nan),  # UAR of the classes that occur
        cv=folds,
        n_jobs=n_workers(),
        refit=False,
        error_score="raise",
    )
    with threadpool_limits(1), joblib.parallel_config("threading"):  # processes take seconds to start
        if not np.isfinite(vectors).all():
            raise UserError(f"the functionals that {name} is to be trained on hold values that are not numbers.")
        try:
            search.fit(vectors, labels)
        except ValueError as error:
            raise UserError(f"params.yaml: train_baselines.grids.{name}: {error}") from None
        best = pipeline.set_params(**search.best_params_)
        model = best if hasattr(best, "predict_proba") else CalibratedClassifierCV(best, cv=folds, ensemble=False)
        with joblib.parallel_config("threading", n_jobs=n_workers()):  # trees, and the folds of a calibration
            model.fit(vectors, labels)
    return model, _search_table(search)


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
    """Fit a baseline on one fold, save it with its grid search, and predict the fold's validation and test clips.

    Parameters
    ----------
    data
        A fold.
    seed
        Of the classifier and of the search's folds.
    folder
        Gets the model and ``grid_search.csv``.
    name, grid
        As for `fit`.
    folds
        Of training clips, for the search.
    protocol
        What its folds hold out, as the test does: of the section `split` of the settings.

    Returns
    -------
    (clips, classes) float64
        Probabilities.
    """
    inner = grouped_cv(data.clips("train"), folds=folds, seed=seed, protocol=protocol)
    model, search = fit(name, data.functionals("train"), data.labels("train"), grid=grid, folds=inner, seed=seed)
    save(model, folder)
    write_text(folder / "grid_search.csv", search.to_csv(index=False, lineterminator="\n"))
    return predict(model, data.functionals("val", "test"))


def _feasible_grid(grid: Mapping[str, Sequence[Any]], *, fewest: int, name: str) -> dict[str, list[Any]]:
    """Leave out more neighbours than the smallest training part of the search has clips: few recordings have few."""
    possible = {key: list(values) for key, values in grid.items()}
    if "n_neighbors" in possible:
        asked = possible["n_neighbors"]
        possible["n_neighbors"] = [n for n in asked if not isinstance(n, int) or n <= fewest]
        if not possible["n_neighbors"]:
            raise UserError(
                f"params.yaml: train_baselines.grids.{name}: n_neighbors is {min(asked)} or more, but a fold of the "
                f"search trains on {fewest} clips; add a number up to that, or more recordings."
            )
    return possible


def _qualify_param(key: str, pipeline: Pipeline, *, name: str) -> str:
    """Find the step of a pipeline that has a parameter, the classifier last, and give the parameter's name there."""
    known = {key: step for step, part in reversed(pipeline.steps[1:]) for key in part.get_params()}
    if key not in known:
        raise UserError(
            f"params.yaml: train_baselines.grids.{name}: {key} is no parameter of it; "
            f"known are {', '.join(sorted(known))}."
        )
    return f"{known[key]}__{key}"


def _search_table(search: GridSearchCV) -> pd.DataFrame:
    results = pd.DataFrame(search.cv_results_)
    parameters = results[[column for column in results if column.startswith("param_")]]
    parameters.columns = [column.rpartition("__")[2] for column in parameters]
    scores = results[["mean_test_score", "std_test_score", "rank_test_score"]]
    return parameters.join(scores.set_axis(["uar_mean", "uar_std", "rank"], axis=1))


def predict(model: Any, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Compute (clips, classes) probabilities from (clips, features) functionals."""
    with threadpool_limits(1):
        return np.asarray(model.predict_proba(vectors))


def save(model: BaseEstimator, folder: Path) -> None:
    """Save a model as ``model.skops``, which runs no code when it is loaded; the same bytes every time."""
    from skops import io

    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(serialization.canonical_skops(io.dumps(model)))


def load(folder: Path) -> Any:
    """Load what `save` wrote; types that a baseline does not need are refused."""
    from skops import io

    return io.load(folder / MODEL, trusted=list(TRUSTED))
