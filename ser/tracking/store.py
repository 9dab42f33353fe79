"""Where MLflow's store is, and what it already holds.

Without mlflow, whose import takes longer than the answer: `dvc repro` asks at its end, also when nothing has changed.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from ser import paths
from ser.utils.files import file_hash

RECORD = "record"
"""The tag that names what a parent run holds. It is set last, so that a run that has it is whole."""


def root() -> Path:
    """Locate the project: DVC's root, which is the main workspace also when an experiment runs elsewhere."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def address() -> str:
    """Name the store: MLFLOW_TRACKING_URI where it is set, else SQLite in the project's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / paths.MLFLOW_DB}"


def prepare() -> None:
    """Set what mlflow reads when it is imported, unless the user has: no telemetry, few words, and no long waiting."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it tells of each table it makes
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # else it waits minutes for a server


def lock() -> FileLock:
    """Keep apart the processes of this project that write to the store; one process may take it again."""
    return FileLock(root() / paths.MLFLOW_LOCK, is_singleton=True)


def content_key(files: Iterable[Path], *, settings: Mapping[str, Any]) -> str:
    """Name a result by what it is: 64 digits that differ if a byte of the files or a setting does."""
    content = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for file in sorted(files):
        content.update(f"\n{file.as_posix()} {file_hash(file, 'sha256')}".encode())
    return content.hexdigest()


def origin_key(content: str, *, experiment: str) -> str:
    """Name a record by its result and by the DVC experiment that it is of; an empty name is the workspace."""
    return f"{content}:{experiment}"


def contains(key: str) -> bool:
    """Say whether the store has a whole record of a result.

    Each DVC experiment has a record of its own. The workspace needs none where an experiment had the same result, as
    after `dvc exp apply`, or where it was recorded before, as after a commit that changes nothing.
    """
    content, _, experiment = key.partition(":")
    pattern = key if experiment else f"{content}:%"
    database = address().removeprefix("sqlite:///")
    if database == address():
        return any(_marks().glob(f"{_store()}-{pattern.replace(':', '-').replace('%', '*')}"))
    try:
        with closing(sqlite3.connect(f"file:{quote(database)}?mode=ro", uri=True)) as store:
            found = store.execute(f"select 1 from tags where key = '{RECORD}' and value like ? limit 1", [pattern])
            return found.fetchone() is not None
    except sqlite3.OperationalError:  # no store yet, or an empty one
        return False


def mark_recorded(key: str) -> None:
    """Leave a mark that a store which cannot be looked into, such as a server's, has a record."""
    if not address().startswith("sqlite:///"):
        _marks().mkdir(parents=True, exist_ok=True)
        (_marks() / f"{_store()}-{key.replace(':', '-')}").touch()


def _marks() -> Path:
    return root() / paths.MLFLOW_RECORDED


def _store() -> str:
    return hashlib.sha256(address().encode()).hexdigest()[:8]
