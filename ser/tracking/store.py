"""Locate, configure and lock the MLflow store, and compute the key of a result."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from ser import paths
from ser.utils.files import file_hash


def root() -> Path:
    """Locate DVC's root, which is the main workspace also during `dvc exp run --temp`."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def address() -> str:
    """Get the URI of the store: MLFLOW_TRACKING_URI, or SQLite in the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / paths.MLFLOW_DB}"


def configure() -> None:
    """Set the environment variables that mlflow reads on import, unless the user has set them."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # INFO prints a line per created table
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # the default retries for minutes


def lock() -> FileLock:
    """Lock the store against other processes of this project; reentrant within a process."""
    return FileLock(root() / paths.MLFLOW_LOCK, is_singleton=True)


def result_key(files: Iterable[Path], *, settings: Mapping[str, Any], experiment: str) -> str:
    """Identify a result by its content and its DVC experiment, empty for the workspace: ``SHA256:EXPERIMENT``."""
    content = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for file in sorted(files):
        content.update(f"\n{file.as_posix()} {file_hash(file, 'sha256')}".encode())
    return f"{content.hexdigest()}:{experiment}"
