"""The record of experiments in MLflow.

An experiment is a parent run, each of its models a child. All is written at the end, from the files that stages left:
what DVC restored from its cache is recorded as fully as what was just made.
"""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser import paths
from ser.tracking import store as tracking_store
from ser.tracking import views
from ser.utils.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from ser.tracking.registry import ModelBundle

BATCH = {"params": 100, "metrics": 1000}
"""What a server takes at once."""


@dataclass(frozen=True)
class Dataset:
    """What a run was made from.

    Attributes
    ----------
    name, context
        What it is called, and what it is in this run.
    table
        A row a clip, without sound.
    source
        Where it lies in the project.
    digest
        DVC's hash, at most 36 characters; None: MLflow computes one from the table.
    """

    name: str
    context: str
    table: "pd.DataFrame"
    source: str
    digest: str | None


@dataclass(frozen=True)
class Run:
    """What one run holds.

    Attributes
    ----------
    name, description
        What MLflow's pages call it, and the Markdown that they show above it.
    tags
        Words to filter by.
    params
        Flat, as ``section.key``.
    metrics
        Flat, as ``part.metric``.
    history
        A row per epoch with a column ``epoch``; None where there are no epochs.
    tables
        {artifact: rows}, which MLflow's pages show as tables.
    files
        {file: folder in the run's artifacts}.
    datasets
        What it was made from.
    model
        The model that it made.
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
    model: "ModelBundle | None" = None


def flatten(settings: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Turn nested settings or metrics into ``section.key`` -> value, the names that DVC shows."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        inner = flatten(value, prefix=f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        flat |= inner
    return flat


def record(experiment: str, parent: Run, children: Sequence[Run] = (), *, key: str, failed: bool = False) -> bool:
    """Write the run of an experiment and, nested in it, one for each model, unless the store has them.

    Parameters
    ----------
    experiment
        Name in MLflow; is made where there is none.
    parent, children
        What the runs hold; the first child is the best model.
    key
        Of what is recorded, from `ser.tracking.store.origin_key`: the same is not recorded twice.
    failed
        Whether the experiment ended in an error.

    Returns
    -------
    bool
        Whether anything was written.

    Raises
    ------
    InputError
        If the store cannot be reached.
    """
    with _reachable(), tracking_store.lock():
        if tracking_store.contains(key):
            return False
        client = connect()
        place = _experiment(client, experiment)
        _forget_unfinished(client, place, key)
        run_id = _start(client, place, parent, more={"recording": key})
        for child in children:
            nested = _start(client, place, child, more={"mlflow.parentRunId": run_id})
            _fill(client, nested, child, best=child is children[0])
            client.set_terminated(nested)
        _fill(client, run_id, parent)
        client.set_terminated(run_id, "FAILED" if failed else "FINISHED")
        client.set_tag(run_id, tracking_store.RECORD, key)
        tracking_store.mark_recorded(key)
    return True


def _forget_unfinished(client: "MlflowClient", place: str, key: str) -> None:
    """Delete what an interrupted record left: under the lock, nobody else is still writing it."""
    for run in client.search_runs([place], f"tags.recording = '{key}'"):
        if tracking_store.RECORD not in run.data.tags:
            for child in client.search_runs([place], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"):
                client.delete_run(child.info.run_id)
            client.delete_run(run.info.run_id)


def _start(client: "MlflowClient", place: str, run: Run, *, more: Mapping[str, str]) -> str:
    tags = {**run.tags, **more, "mlflow.note.content": run.description}
    return str(client.create_run(place, run_name=run.name, tags=tags).info.run_id)


def _fill(client: "MlflowClient", run_id: str, run: Run, *, best: bool = False) -> None:
    from mlflow.entities import Metric, Param

    model = _serve(run_id, run.model, best=best) if run.model else None
    _log(client, run_id, "params", [Param(name, str(value)) for name, value in run.params.items()])
    now = int(time.time() * 1000)
    metrics = [Metric(name, float(value), now, 0, model_id=model) for name, value in run.metrics.items()]
    _log(client, run_id, "metrics", metrics)
    if run.history is not None:
        curve = run.history.melt("epoch").dropna()
        points = zip(curve.epoch, curve.variable, curve.value, strict=True)
        _log(client, run_id, "metrics", [Metric(f"epoch.{name}", value, now, epoch) for epoch, name, value in points])
    for name, table in run.tables.items():
        client.log_table(run_id, table, name)
    for file, folder in run.files.items():
        client.log_artifact(run_id, str(file), folder or None)
    client.log_inputs(run_id, [_dataset(dataset) for dataset in run.datasets])


def _serve(run_id: str, model: "ModelBundle", *, best: bool) -> str:
    from ser.tracking import registry

    return registry.register(run_id, model, best=best)


def _log(client: "MlflowClient", run_id: str, kind: str, entries: Sequence[Any]) -> None:
    for start in range(0, len(entries), BATCH[kind]):
        client.log_batch(run_id, **{kind: entries[start : start + BATCH[kind]]})


def _dataset(dataset: Dataset) -> Any:
    import mlflow.data
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.entities import DatasetInput, InputTag

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # hints about columns of integers, for who serves tables
        found = mlflow.data.from_pandas(
            dataset.table,
            source=CodeDatasetSource({"path": dataset.source}),
            name=dataset.name,
            digest=dataset.digest and dataset.digest[:36],
        )
        return DatasetInput(found._to_mlflow_entity(), [InputTag("mlflow.data.context", dataset.context)])


def connect() -> "MlflowClient":
    """Open the store.

    The first processes to use a new store at once would migrate its schema against each other: a lock keeps them apart.
    """
    tracking_store.prepare()
    import mlflow

    mlflow.set_tracking_uri(tracking_store.address())
    with tracking_store.lock():
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
    return client


@contextmanager
def _reachable() -> Iterator[None]:
    """Turn whatever a server or a database answers into a sentence; nothing is lost, since stages' files are there."""
    tracking_store.prepare()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"MLflow's store {tracking_store.address()} did not take the record: {first} Results are where they were; "
            "see to the store (MLFLOW_TRACKING_URI), then run `dvc repro record`."
        ) from None


def _experiment(client: "MlflowClient", name: str) -> str:
    with tracking_store.lock():
        found = client.get_experiment_by_name(name)
        # A relative place for artifacts would vanish with the folder of a temporary experiment.
        remote = tracking_store.address().startswith(("http", "databricks"))
        place = None if remote else (tracking_store.root() / paths.MLFLOW_ARTIFACTS).as_uri()
        number = found.experiment_id if found else client.create_experiment(name, artifact_location=place)
        for tag, value in views.tags().items():
            if found is None or tag not in found.tags:
                client.set_experiment_tag(number, tag, value)
        return str(number)


# Recorded runs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunInfo:
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
        Flat, as ``section.key`` (text) and ``part.metric``.
    """

    revision: str
    model: str
    settings: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def find_run(run_id: str) -> RunInfo:
    """Look up what made a run, and what came of it.

    Raises
    ------
    InputError
        If there is no such run, or it does not name its commit.
    """
    client = connect()
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise UserError(f"MLflow at {client.tracking_uri} has no run {run_id!r}; `make ui` shows their ids.") from None
    tags = run.data.tags
    if "git_revision" not in tags:
        raise UserError(f"MLflow's run {run_id} has no tag git_revision; it was not recorded by this project.")
    places = [place for place in (run_id, tags.get("mlflow.parentRunId")) if place]
    texts = [client.download_artifacts(place, str(paths.PARAMS)) for place in places if _has_settings(client, place)]
    settings = Path(texts[0]).read_text(encoding="utf-8") if texts else None
    model = tags.get("best_model", tags.get("model", ""))
    return RunInfo(tags["git_revision"], model, settings, run.data.params, run.data.metrics)


def _has_settings(client: "MlflowClient", run_id: str) -> bool:
    return any(item.path == str(paths.PARAMS) for item in client.list_artifacts(run_id))
