"""The record of every run in MLflow. The only door to mlflow.

A leaderboard is a parent run, each of its models a child. All is written at the end, from the files that stages
left: a model that DVC restored from its cache is recorded as fully as one just trained.
"""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Record:
    """What is to be remembered of one model.

    Attributes
    ----------
    params
        Flat, as ``section.key``.
    metrics
        {part: {metric: number}}.
    history
        A row per epoch with a column ``epoch``; None for a model without epochs.
    reports
        Files kept with the run.
    model
        The saved model's folder, kept as it is.
    """

    params: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float]]
    history: pd.DataFrame | None
    reports: Sequence[Path]
    model: Path


def flatten(settings: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Turn nested settings into ``section.key`` -> value."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = flatten(value, prefix=f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        flat |= inner
    return flat


def root() -> Path:
    """Locate the project: DVC's root, which is the main workspace also when an experiment runs elsewhere."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def record(
    experiment: str,
    models: Mapping[str, Record],
    *,
    board: pd.DataFrame,
    reports: Sequence[Path],
    tags: Mapping[str, str],
    description: str,
) -> None:
    """Write one run for the leaderboard and, nested in it, one for each model.

    Parameters
    ----------
    experiment
        Name in MLflow; is made where there is none.
    models
        Name -> what is to be remembered.
    board
        The leaderboard, best model first.
    reports
        Files kept with the parent run.
    tags
        For every run, beside the git revision and DVC's names.
    description
        Markdown that MLflow shows above every run: what was tested on what, and warnings.
    """
    client = _client()
    experiment_id = _experiment(client, experiment)
    every = {**_origin(), **tags, "mlflow.note.content": description}
    name = every.get("dvc_exp_name", "leaderboard")
    parent = client.create_run(experiment_id, run_name=name, tags={**every, "model": "leaderboard"}).info.run_id
    for file in reports:
        client.log_artifact(parent, str(file))
    best = board.iloc[0]
    _log(client, parent, params={"best_model": best.model}, metrics={"test_uar": float(best.uar)})
    for model, content in models.items():
        nested = {**every, "model": model, "mlflow.parentRunId": parent}
        run_id = client.create_run(experiment_id, run_name=f"{name}: {model}", tags=nested).info.run_id
        _log_model(client, run_id, content)
        client.set_terminated(run_id)
    client.set_terminated(parent)


def _log_model(client: "MlflowClient", run_id: str, content: Record) -> None:
    metrics = {f"{part}_{name}": value for part, numbers in content.metrics.items() for name, value in numbers.items()}
    _log(client, run_id, params=content.params, metrics=metrics)
    if content.history is not None:
        _log_history(client, run_id, content.history)
    for file in content.reports:
        client.log_artifact(run_id, str(file), "reports")
    client.log_artifacts(run_id, str(content.model), "model")


def _log(client: "MlflowClient", run_id: str, *, params: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    from mlflow.entities import Metric, Param

    client.log_batch(
        run_id,
        metrics=[Metric(name, float(value), _now(), 0) for name, value in metrics.items()],
        params=[Param(name, str(value)) for name, value in params.items()],
    )


def _log_history(client: "MlflowClient", run_id: str, history: pd.DataFrame) -> None:
    from mlflow.entities import Metric

    for epoch, numbers in history.set_index("epoch").iterrows():
        points = [Metric(f"epoch_{name}", float(value), _now(), epoch) for name, value in numbers.items()]
        client.log_batch(run_id, metrics=points)


def _now() -> int:
    return int(time.time() * 1000)


def _origin() -> dict[str, str]:
    """Say what made a run: git revision and, under `dvc exp run`, the experiment's name and baseline."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    names = {
        "git_revision": git.stdout.strip(),
        "mlflow.source.git.commit": git.stdout.strip(),
        "dvc_exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc_exp_baseline": os.environ.get("DVC_EXP_BASELINE_REV", ""),
    }
    return {key: value for key, value in names.items() if value}


def _client() -> "MlflowClient":
    """Open the store: MLFLOW_TRACKING_URI where it is set, else SQLite in the project's root.

    The first processes to use a new store at once would migrate its schema against each other: a lock keeps them apart.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it tells of each table it makes
    from mlflow import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"
    with _lock():
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client


def _lock() -> Any:
    from filelock import FileLock

    return FileLock(root() / ".mlflow.lock")


def _experiment(client: "MlflowClient", name: str) -> str:
    with _lock():
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # A relative place for artifacts would vanish with the folder of a temporary experiment.
        remote = client.tracking_uri.startswith(("http", "databricks"))
        place = None if remote else (root() / "mlartifacts").as_uri()
        return str(client.create_experiment(name, artifact_location=place))


@dataclass(frozen=True)
class Found:
    """What a run says of itself: see `find_run`.

    Attributes
    ----------
    revision
        The commit that was checked out.
    model
        Whose metrics these are.
    settings
        params.yaml as it was recorded; None where only `params` were.
    params, metrics
        Flat, as ``section.key`` (text) and ``part_metric``.
    """

    revision: str
    model: str
    settings: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def find_run(run_id: str) -> Found:
    """Look up what made a run, and what came of it.

    Raises
    ------
    InputError
        If there is no such run, or it does not name its commit.
    """
    client = _client()
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise InputError(f"MLflow at {client.tracking_uri} has no run {run_id!r}; `make ui` shows their ids.") from None
    tags, params = run.data.tags, run.data.params
    if "git_revision" not in tags:
        raise InputError(f"MLflow's run {run_id} has no tag git_revision; it was not recorded by this project.")
    places = [place for place in (run_id, tags.get("mlflow.parentRunId")) if place]
    texts = [client.download_artifacts(place, "params.yaml") for place in places if _has_settings(client, place)]
    settings = Path(texts[0]).read_text(encoding="utf-8") if texts else None
    model = params.get("best_model", tags.get("model", ""))
    return Found(tags["git_revision"], model, settings, params, run.data.metrics)


def _has_settings(client: "MlflowClient", run_id: str) -> bool:
    return any(item.path == "params.yaml" for item in client.list_artifacts(run_id))
