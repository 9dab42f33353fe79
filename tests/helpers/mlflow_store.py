"""Projects with an MLflow store, copied from an empty one, since MLflow takes seconds to create a store."""

import shutil
from pathlib import Path

import pytest

from ser.tracking import mlflow_runs


def create(folder: Path) -> Path:
    """Create an empty store in a folder: the path of its database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        mlflow_runs.connect()
    return folder / "mlflow.db"


def enter(folder: Path, mlflow_db: Path, patch: pytest.MonkeyPatch) -> None:
    """Make a folder the current project, with a copy of a store."""
    shutil.copyfile(mlflow_db, folder / "mlflow.db")
    patch.chdir(folder)
    patch.setenv("DVC_ROOT", str(folder))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
