"""Write an experiment and its models as MLflow runs, and read recorded runs.

An experiment is a parent run with a nested run per model, written from files that DVC may have restored from its cache.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser import paths
from ser.tracking import registry
from ser.tracking import store as tracking_store
from ser.utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

RECORD = "record"  # tag of a parent run with the key of its result


@dataclass(frozen=True)
class Dataset:
    """Input of a run: its name, its role, its path in the project, and DVC's hash."""

    name: str
    context: str
    source: str
    digest: str | None


@dataclass(frozen=True)
class Run:
    """Content of one run.

    Params are named ``section.key``, metrics ``split.metric``. `history` has one row per epoch and a column ``epoch``.
    `tables` is {artifact path: table}, `files` is {file: artifact folder}. `model` is registered.
    """

    name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: "pd.DataFrame | None" = None
    tables: Mapping[str, "pd.DataFrame"] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    datasets: Sequence[Dataset] = ()
    model: registry.ModelBundle | None = None


@dataclass(frozen=True)
class RunInfo:
    """Recorded run: its commit, model, text of params.yaml, and metrics named ``split.metric``."""

    revision: str
    model: str
    params: str
    metrics: Mapping[str, float]


def flatten(nested: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings or metrics to ``section.key``, as DVC does."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= flatten(value, prefix=f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def connect() -> "MlflowClient":
    """Open the store, under a lock: two processes must not create its schema at the same time."""
    tracking_store.configure()
    import mlflow

    mlflow.set_tracking_uri(tracking_store.address())
    with tracking_store.lock():
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
    return client


def is_recorded(experiment: str, key: str) -> bool:
    """Check whether the store has a complete run of a result.

    A DVC experiment needs its own run. The workspace needs none if an experiment had the same result, as after
    `dvc exp apply`.

    Raises
    ------
    UserError
        If the store cannot be reached.
    """
    with _store_errors():
        client = connect()
        entity = client.get_experiment_by_name(experiment)
        return entity is not None and _has_run(client, entity.experiment_id, key)


def record(experiment: str, parent: Run, children: Sequence[Run] = (), *, key: str, failed: bool = False) -> bool:
    """Write the run of an experiment and a nested run for each model; return False if the store has them already.

    Parameters
    ----------
    children : sequence of Run
        Runs of the models, best first.
    key : str
        Key of the result, from `ser.tracking.store.result_key`.

    Raises
    ------
    UserError
        If the store cannot be reached.
    """
    with _store_errors(), tracking_store.lock():
        client = connect()
        experiment_id = _create_experiment(client, experiment)
        if _has_run(client, experiment_id, key):
            return False
        _delete_unfinished(client, experiment_id, key)
        run_id = _create_run(client, experiment_id, parent, tags={RECORD: key})
        for child in children:
            nested = _create_run(client, experiment_id, child, tags={"mlflow.parentRunId": run_id})
            _log(client, nested, child, best=child is children[0])
            client.set_terminated(nested)
        _log(client, run_id, parent)
        client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
    return True


def find_run(run_id: str) -> RunInfo:
    """Load a recorded run; params.yaml of a model is an artifact of its parent run.

    Raises
    ------
    UserError
        If there is no such run, or `record` did not write it.
    """
    client = connect()
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
        tags = run.data.tags
        file = client.download_artifacts(tags.get("mlflow.parentRunId", run_id), str(paths.PARAMS))
        revision, model = tags["git_revision"], tags.get("best_model", tags.get("model", ""))
    except (MlflowException, OSError, KeyError):
        raise UserError(
            f"run {run_id!r}: expected a run in {tracking_store.address()} with a tag git_revision and an artifact "
            f"{paths.PARAMS}; copy the id of a run of this project from `make ui`."
        ) from None
    return RunInfo(revision, model, Path(file).read_text(encoding="utf-8"), run.data.metrics)


@contextmanager
def _store_errors() -> Iterator[None]:
    tracking_store.configure()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise UserError(
            f"MLflow's store {tracking_store.address()} failed: {str(error).splitlines()[0]} The results are not lost; "
            "check MLFLOW_TRACKING_URI and the store, then run `dvc repro record`."
        ) from None


def _create_experiment(client: "MlflowClient", name: str) -> str:
    if experiment := client.get_experiment_by_name(name):
        return str(experiment.experiment_id)
    # A relative artifact location would be lost with the folder of `dvc exp run --temp`.
    remote = tracking_store.address().startswith(("http", "databricks"))
    location = None if remote else (tracking_store.root() / paths.MLFLOW_ARTIFACTS).as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _has_run(client: "MlflowClient", experiment_id: str, key: str) -> bool:
    tag = f"tags.{RECORD} LIKE '{key}%'" if key.endswith(":") else f"tags.{RECORD} = '{key}'"
    return bool(client.search_runs([experiment_id], f"{tag} AND attributes.status != 'RUNNING'", max_results=1))


def _delete_unfinished(client: "MlflowClient", experiment_id: str, key: str) -> None:
    """Delete the runs of an interrupted `record`; the lock ensures that no other process is writing them."""
    for run in client.search_runs([experiment_id], f"tags.{RECORD} = '{key}'"):
        for child in client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"):
            client.delete_run(child.info.run_id)
        client.delete_run(run.info.run_id)


def _create_run(client: "MlflowClient", experiment_id: str, run: Run, *, tags: Mapping[str, str]) -> str:
    tags = {**run.tags, **tags, "mlflow.note.content": run.description}
    return str(client.create_run(experiment_id, run_name=run.name, tags=tags).info.run_id)


def _log(client: "MlflowClient", run_id: str, run: Run, *, best: bool = False) -> None:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag, Metric, Param

    model_id = registry.register(run_id, run.model, best=best) if run.model else None
    now = int(time.time() * 1000)
    metrics = [Metric(name, float(value), now, 0, model_id=model_id) for name, value in run.metrics.items()]
    if run.history is not None:
        points = run.history.melt("epoch").dropna().itertuples(index=False)
        metrics += [Metric(f"epoch.{name}", value, now, epoch) for epoch, name, value in points]
    client.log_batch(run_id, metrics, [Param(name, str(value)) for name, value in run.params.items()])
    for artifact, table in run.tables.items():
        client.log_table(run_id, table, artifact)
    for file, folder in run.files.items():
        client.log_artifact(run_id, str(file), folder or None)
    inputs = []
    for dataset in run.datasets:
        digest = dataset.digest and dataset.digest[:36]  # MLflow's limit
        meta = MetaDataset(CodeDatasetSource({"path": dataset.source}), name=dataset.name, digest=digest)
        tag = InputTag("mlflow.data.context", dataset.context)
        inputs.append(DatasetInput(meta._to_mlflow_entity(), [tag]))
    client.log_inputs(run_id, inputs)
