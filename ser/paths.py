"""Locate the artefacts of the pipeline, relative to the project root.

Other modules do not contain paths of artefacts. To move one, change this module, dvc.yaml and the documentation.
"""

from pathlib import Path

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")

# Data -----------------------------------------------------------------------------------------------------------------

DATA = Path("data")
FRAMES = DATA / "features" / "frames"
FUNCTIONALS = DATA / "features" / "functionals"
PREDICTIONS = DATA / "predictions"
SPLITS = DATA / "splits.csv"
EXCLUDED = DATA / "excluded.csv"


def raw(corpus: str) -> Path:
    """Locate the folder of a corpus's recordings."""
    return DATA / "raw" / corpus


def recordings(corpus: str) -> Path:
    """Locate the table of a corpus's recordings."""
    return DATA / "recordings" / f"{corpus}.csv"


def import_notes(corpus: str) -> Path:
    """Locate the notes on the import of a corpus: counts, and files that are left out or changed."""
    return DATA / "recordings" / f"{corpus}.txt"


def clips(corpus: str) -> Path:
    """Locate the preprocessed clips of a corpus."""
    return DATA / "interim" / f"{corpus}.parquet"


def audio_stats(corpus: str) -> Path:
    """Locate the levels and durations of a corpus's recordings before and after preprocessing."""
    return DATA / "audio_stats" / f"{corpus}.csv"


def rejected(corpus: str) -> Path:
    """Locate the table of recordings that preprocessing rejected, with reasons."""
    return DATA / "rejected" / f"{corpus}.csv"


def augmented(corpus: str) -> Path:
    """Locate the augmented clips of a corpus."""
    return DATA / "augmented" / f"{corpus}.parquet"


def frames(corpus: str) -> Path:
    """Locate the frame-level features of a corpus's clips."""
    return FRAMES / f"{corpus}.parquet"


def functionals(corpus: str) -> Path:
    """Locate the clip-level functionals of a corpus's clips."""
    return FUNCTIONALS / f"{corpus}.parquet"


def predictions(model: str) -> Path:
    """Locate the prediction table of a model."""
    return PREDICTIONS / f"{model}.parquet"


# Models ---------------------------------------------------------------------------------------------------------------

CHECKPOINTS = Path("models/checkpoints")
EXPORTED = Path("models/exported")
DEFAULT_MODEL = EXPORTED / "lstm"


def checkpoint(model: str) -> Path:
    """Locate a model as training saved it: a folder per fold and seed."""
    return CHECKPOINTS / model


def exported(model: str) -> Path:
    """Locate the self-contained folder of a model for inference."""
    return EXPORTED / model


# Results --------------------------------------------------------------------------------------------------------------

METRICS_DIR = Path("metrics")
METRICS = METRICS_DIR / "metrics.json"

REPORTS = Path("reports")
LEADERBOARD_MD = REPORTS / "leaderboard.md"
LEADERBOARD_CSV = REPORTS / "leaderboard.csv"
LEADERBOARD_PNG = REPORTS / "leaderboard.png"
PAIRWISE_TESTS_CSV = REPORTS / "pairwise_tests.csv"
LEAKAGE_CSV = REPORTS / "leakage.csv"
MODEL_CARD_MD = REPORTS / "model_card.md"
MODELS_CSV = REPORTS / "models.csv"
CONFUSION = REPORTS / "confusion"
HISTORY_CSV = REPORTS / "lstm" / "history.csv"
HISTORY_PNG = REPORTS / "history.png"
DATA_REPORT = REPORTS / "data.html"
DATA_FIGURES = REPORTS / "data"
EVALUATION_REPORT = REPORTS / "evaluation.html"
EVALUATION_FIGURES = REPORTS / "evaluation"


def preprocess_metrics(corpus: str) -> Path:
    """Locate the counts of a corpus's recordings and clips."""
    return METRICS_DIR / "preprocess" / f"{corpus}.json"


# Tracking -------------------------------------------------------------------------------------------------------------

MLFLOW_DB = Path("mlflow.db")
MLFLOW_ARTIFACTS = Path("mlartifacts")
MLFLOW_LOCK = Path(".mlflow.lock")
REPRODUCTION = Path(".dvc/tmp/reproduce")
