"""Read the result of a Git revision, or of the workspace: metrics, settings and predictions."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import resolve_rev

from ser import paths
from ser.evaluation import summary
from ser.evaluation.metrics import uar
from ser.evaluation.regression_check import Result, is_outdated
from ser.predictions import table as prediction_table
from ser.reproduce._dvc import outputs
from ser.utils.errors import UserError


def resolve(revision: str) -> str:
    """Resolve a branch, a tag, a DVC experiment or an abbreviated commit to a commit.

    Raises
    ------
    UserError
        If there is no such commit, or no Git repository with DVC.
    """
    try:
        with Repo() as repo:
            return str(resolve_rev(repo.scm, revision))
    except DvcException as error:
        raise UserError(
            f"revision {revision!r} was not found: {error}. Expected a branch, a tag or a commit of this clone; see "
            "`git branch --all`, or `git fetch` it first (a shallow clone has few)."
        ) from None


def read_params(commit: str | None) -> Mapping[str, Any]:
    """Read params.yaml of a commit, or of the workspace (None), without validation."""
    return _read_yaml(DVCFileSystem(rev=commit), paths.PARAMS)


def read_result(revision: str | None) -> tuple[Result | None, list[str]]:
    """Read the result of a revision.

    Parameters
    ----------
    revision : str or None
        Git revision; None is the workspace.

    Returns
    -------
    result : Result or None
        None if the revision has no metrics.
    notes : list of str
        Reasons why the predictions of some models are not available.

    Raises
    ------
    UserError
        If the revision is unknown, or its metrics, dvc.lock and predictions do not belong together.
    """
    commit = None if revision is None else resolve(revision)
    name = "the workspace"
    if revision is not None and commit is not None:
        name = commit[:7] if commit.startswith(revision) else f"{revision} ({commit[:7]})"
    files = DVCFileSystem(rev=commit)
    text = _read(files, paths.METRICS)
    if text is None:
        return None, []
    metrics, lock = _parse_metrics(text, name), _read_yaml(files, paths.LOCK).get("stages") or {}
    recorded = outputs(lock).get(paths.METRICS.as_posix())
    if recorded and recorded != hashlib.md5(text, usedforsecurity=False).hexdigest():
        raise UserError(
            f"{paths.METRICS} of {name} is not the file that its dvc.lock records; run `make repro` and commit both."
        )
    settings = lock.get("evaluate", {}).get("params", {}).get(paths.PARAMS.as_posix())
    tables: dict[str, pd.DataFrame] = {}
    notes = []
    for model in [] if is_outdated(metrics) else metrics:  # outdated tables have other columns
        try:
            with files.open(paths.predictions(model).as_posix()) as file:
                table = pd.read_parquet(file)
            prediction_table.validate(table, name=model)
        except (DvcException, OSError, ValueError) as error:
            notes.append(f"predictions of {model} in {name} are not used: {error}")
        else:
            _check_uar(metrics[model]["test"], table, model=model, name=name)
            tables[model] = table
    return Result(name, metrics, settings or _read_yaml(files, paths.PARAMS), tables), notes


def _read(files: DVCFileSystem, path: Path) -> bytes | None:
    try:
        content: bytes = files.read_bytes(path.as_posix())
    except FileNotFoundError:
        return None
    return content


def _read_yaml(files: DVCFileSystem, path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(_read(files, path) or b"") or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML ({error}); restore it from Git.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds {type(content).__name__}, expected keys; restore it from Git.")
    return content


def _parse_metrics(text: bytes, name: str) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    try:
        metrics = json.loads(text)
        valid = bool(metrics) and all(isinstance(splits["test"], dict) for splits in metrics.values())
    except (ValueError, AttributeError, KeyError, TypeError):
        valid = False
    if not valid:
        raise UserError(
            f"{paths.METRICS} of {name}: expected JSON with a split `test` for each model; run `dvc repro evaluate` "
            "to write it again."
        )
    return metrics  # type: ignore[no-any-return]


def _check_uar(metrics: Mapping[str, float], table: pd.DataFrame, *, model: str, name: str) -> None:
    rows = summary.select_test_rows(table)
    test_uar = float(np.mean([uar(group.emotion, group.predicted) for _, group in rows.groupby("seed")]))
    if not np.isclose(test_uar, metrics.get("uar", test_uar), atol=1e-6):
        raise UserError(
            f"{name}: predictions of {model} have a test UAR of {test_uar:.4f}, {paths.METRICS} has "
            f"{metrics['uar']:.4f}; they are of different runs. Run `dvc repro evaluate`."
        )
