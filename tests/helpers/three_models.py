"""Prediction tables of three models on a few clips, as the stages write them."""

from pathlib import Path

import pandas as pd

from ser.evaluation.evaluate import EvaluationResult, evaluate_models
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]
TRUE = CLASSES * 4
SPLITS = ["val"] * 6 + ["test"] * 6
PREDICTED = {
    "lstm": TRUE,
    "svm": ["neutral"] * 12,
    "knn": ["neutral", "neutral", "sad"] * 4,
}
SETTINGS = factories.settings(evaluate={"n_resamples": 100}).evaluate


def table(model: str) -> pd.DataFrame:
    """Predict three clips of each of two speakers in each split."""
    speakers = (["ravdess-01"] * 3 + ["ravdess-02"] * 3) * 2
    return factories.predicted(TRUE, PREDICTED[model], split=SPLITS, classes=CLASSES).assign(speaker=speakers)


def write_predictions(folder: Path) -> None:
    """Write the prediction table of each model."""
    folder.mkdir(parents=True)
    for model in PREDICTED:
        table(model).to_parquet(folder / f"{model}.parquet", index=False)


def evaluate(folder: Path, *models: str) -> EvaluationResult:
    """Evaluate the models in a folder, by default all."""
    return evaluate_models(folder, models or list(PREDICTED), SETTINGS, emotions=factories.emotions(), seed=1)
