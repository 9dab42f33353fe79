"""Three models' predictions of a few clips, as the stages leave them in the folder of a project."""

from pathlib import Path

import pandas as pd

from ser.evaluation import evaluate
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]
TRUE = CLASSES * 4
SPLITS = ["val"] * 6 + ["test"] * 6
ANSWERS = {
    "lstm": TRUE,
    "svm": ["neutral"] * 12,
    "knn": ["neutral", "neutral", "sad"] * 4,
}
SETTINGS = factories.settings(evaluate={"n_resamples": 100}).evaluate


def table(model: str) -> pd.DataFrame:
    """Let two speakers say three clips of each split."""
    speakers = (["ravdess-01"] * 3 + ["ravdess-02"] * 3) * 2
    return factories.predicted(TRUE, ANSWERS[model], split=SPLITS, classes=CLASSES).assign(speaker=speakers)


def write_predictions(folder: Path) -> None:
    """Write a prediction table a model."""
    folder.mkdir(parents=True)
    for model in ANSWERS:
        table(model).to_parquet(folder / f"{model}.parquet", index=False)


def judged(folder: Path, *models: str) -> evaluate.EvaluationResult:
    """Judge the models of a folder, all of them where none is named."""
    return evaluate.evaluate_models(folder, models or list(ANSWERS), SETTINGS, emotions=factories.emotions(), seed=1)
