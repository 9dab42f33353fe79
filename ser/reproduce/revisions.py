"""What a Git revision of the project, or the workspace, left of its results: metrics, settings, predictions."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ser import paths
from ser.evaluation import bootstrap, summary
from ser.evaluation.regression_check import Result
from ser.predictions import table as prediction_table
from ser.utils.errors import UserError
from ser.utils.files import file_hash


def resolve(revision: str, *, root: Path = Path()) -> str:
    """Find the commit that a revision means.

    Raises
    ------
    InputError
        If Git knows no such commit, or there is no Git repository.
    """
    done = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if done.returncode == 0:
        return done.stdout.decode().strip()
    if _git(root, "rev-parse", "--git-dir").returncode != 0:
        raise UserError(f"{root.resolve()} is no Git repository; a revision can only be looked up in a clone.")
    raise UserError(
        f"revision {revision!r} is unknown here; expected a branch, a tag or a commit of this clone. "
        "See `git branch --all`, or `git fetch` it first (a shallow clone has few)."
    )


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError("git was not found; install it to look at other revisions.") from None


def content(commit: str | None, path: Path, *, root: Path = Path()) -> bytes | None:
    """Read a file as a commit holds it, or the workspace (None); None where there is no such file."""
    if commit is None:
        file = root / path
        return file.read_bytes() if file.is_file() else None
    done = _git(root, "show", f"{commit}:./{path.as_posix()}")
    return done.stdout if done.returncode == 0 else None


def names(commit: str, path: Path, *, root: Path = Path()) -> list[str]:
    """List the files that a commit holds in a folder, in order."""
    done = _git(root, "ls-tree", "-r", "-z", "--name-only", commit, "--", path.as_posix())
    return [name for name in done.stdout.decode().split("\0") if name]


def read_settings(commit: str | None, *, root: Path = Path()) -> Mapping[str, Any]:
    """Read params.yaml as it stands in a commit, or in the workspace, whatever its sections.

    Raises
    ------
    InputError
        If it is not YAML.
    """
    return _yaml(content(commit, paths.PARAMS, root=root), paths.PARAMS, commit)


def read_lock(commit: str | None, *, root: Path = Path()) -> Mapping[str, Any]:
    """Read the stages of dvc.lock, {name: {cmd, deps, params, outs}}; nothing where there is none.

    Raises
    ------
    InputError
        If it is not YAML.
    """
    lock = _yaml(content(commit, paths.LOCK, root=root), paths.LOCK, commit)
    stages: Mapping[str, Any] = lock.get("stages") or {}
    return stages


def outputs(lock: Mapping[str, Any]) -> dict[str, str]:
    """List the outputs of dvc.lock and their hashes: {path: md5}."""
    return {out["path"]: out.get("md5", "") for stage in lock.values() for out in stage.get("outs", [])}


def _yaml(text: bytes | None, path: Path, commit: str | None) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text or b"") or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} of {_name(commit)} is not YAML ({error}); restore it from Git.") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} of {_name(commit)} holds {type(found).__name__}, expected keys; restore it from Git.")
    return found


def _name(commit: str | None) -> str:
    return "the workspace" if commit is None else commit[:7]


def read_result(revision: str | None, *, root: Path = Path()) -> tuple[Result | None, list[str]]:
    """Read what a revision says of its models.

    Parameters
    ----------
    revision
        Of Git; None: the workspace.
    root
        The project's folder.

    Returns
    -------
    Result or None
        None where the revision has no metrics at all.
    list of str
        Why the predictions of some models are not at hand.

    Raises
    ------
    InputError
        If the revision is unknown, or its metrics are broken or do not belong to the rest of it.
    """
    commit = None if revision is None else resolve(revision, root=root)
    text = content(commit, paths.METRICS, root=root)
    if text is None:
        return None, []
    lock, metrics = read_lock(commit, root=root), _metrics(text, commit)
    _check_metrics_belong(text, lock, commit)
    tables, notes = _predictions(commit, list(metrics), outputs(lock), root=root)
    for model, table in tables.items():
        _check_predictions_belong(metrics[model]["test"], table, model=model, name=_name(commit))
    name = "the workspace" if revision is None or commit is None else f"{revision} ({commit[:7]})"
    name = _name(commit) if commit is not None and commit.startswith(revision or "-") else name
    return Result(name, metrics, _settings(commit, lock, root=root), tables), notes


def _metrics(text: bytes, commit: str | None) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    where = f"{paths.METRICS} of {_name(commit)}"
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} is not JSON ({error}); `dvc repro evaluate` writes it anew.") from None
    tested = found.values() if isinstance(found, dict) else [None]
    if not found or not all(isinstance(parts, dict) and isinstance(parts.get("test"), dict) for parts in tested):
        raise UserError(f"{where}: expected a part `test` for each model; `dvc repro evaluate` writes it anew.")
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]] = found
    return metrics


def _check_metrics_belong(text: bytes, lock: Mapping[str, Any], commit: str | None) -> None:
    """Refuse metrics that were not made from what dvc.lock names, as the settings are read from there."""
    recorded = outputs(lock).get(paths.METRICS.as_posix())
    if recorded and recorded != hashlib.md5(text, usedforsecurity=False).hexdigest():
        raise UserError(
            f"{paths.METRICS} of {_name(commit)} is not the one that its dvc.lock names: the two are of different "
            "runs. Run `make repro`, and commit both."
        )


def _settings(commit: str | None, lock: Mapping[str, Any], *, root: Path) -> Mapping[str, Any]:
    """Take the settings that the evaluation ran with; without a dvc.lock, those in params.yaml."""
    recorded = lock.get("evaluate", {}).get("params", {}).get(paths.PARAMS.as_posix())
    return recorded or read_settings(commit, root=root)


# Predictions ----------------------------------------------------------------------------------------------------------


def _predictions(
    commit: str | None, models: list[str], hashes: Mapping[str, str], *, root: Path
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    tables: dict[str, pd.DataFrame] = {}
    notes = []
    for model in models:
        path = paths.predictions(model).as_posix()
        try:
            tables[model] = _read(root / path, model) if commit is None else _fetch(commit, path, model, hashes, root)
        except UserError as error:
            notes.append(f"predictions of {model} in {_name(commit)} are not used: {error}")
    return tables, notes


def _read(path: Path, model: str) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path} was not found.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a Parquet file ({error}).") from None
    prediction_table.validate(table, name=model)
    return table


def _fetch(commit: str, path: str, model: str, hashes: Mapping[str, str], root: Path) -> pd.DataFrame:
    """Get a file of a commit from DVC's cache or remote, unless the workspace has the same one."""
    if path not in hashes:
        raise UserError(f"dvc.lock of {commit[:7]} names no {path}.")
    here = root / path
    if here.is_file() and file_hash(here, "md5") == hashes[path]:
        return _read(here, model)
    with TemporaryDirectory() as folder:
        out = Path(folder) / "table.parquet"
        command = [sys.executable, "-m", "dvc", "get", ".", path, "--rev", commit, "--out", str(out), "--quiet"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UserError(f"neither DVC's cache nor a remote has {path} (md5 {hashes[path]}).")
        return _read(out, model)


def _check_predictions_belong(numbers: Mapping[str, float], table: pd.DataFrame, *, model: str, name: str) -> None:
    """Refuse predictions that do not give the UAR that the metrics state."""
    found = float(bootstrap.mean_over_seeds(summary.select_test_rows(table), ["uar"]).loc["uar", "mean"])
    stated = numbers.get("uar", found)
    if not np.isclose(found, stated, atol=1e-6):
        raise UserError(
            f"{name}: the predictions of {model} have a test UAR of {found:.4f}, and {paths.METRICS} says "
            f"{stated:.4f}: the two are of different runs. Run `dvc repro evaluate`."
        )
