"""Test the recording of an experiment in MLflow: a parent run, and a nested run for each model."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser.tracking import mlflow_runs
from ser.tracking.mlflow_runs import Dataset, Run, flatten

ROOT = Path(__file__).parents[2]
PARAMS = {
    "data_seed": 1,
    "train_lstm.dropout": 0.3,
    "features.frame_features": ["mel", "mfcc"],
    "preprocess.trim_top_db": None,
}
METRICS = {"test.uar": 0.6, "test.clips": 10, "robustness.level_-12db.uar": 0.5}
MANY_PARAMS = {f"section.key{n}": n for n in range(150)}
"""More than MLflow accepts in one request."""


def test_flatten() -> None:
    """Nested settings become section.key; lists stay as they are, and empty sections vanish."""
    nested = {"seed": 1, "split": {"test": 0.2, "val": 0.1}, "a": {"b": {"c": [1, 2]}}, "emotions": {"merge": {}}}
    assert flatten(nested) == {"seed": 1, "split.test": 0.2, "split.val": 0.1, "a.b.c": [1, 2]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, mlflow_db: Path) -> Path:
    folder: Path = tmp_path_factory.mktemp("project")
    shutil.copyfile(mlflow_db, folder / "mlflow.db")
    return folder


@pytest.fixture(scope="module")
def runs(project: Path) -> Iterator[dict[str, Any]]:
    """Record an experiment with two models from a temporary folder, as `dvc exp run --temp` does."""
    temporary = project / "tmp" / "experiment"
    temporary.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(temporary)
        patch.setenv("DVC_ROOT", str(project))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert record("speech", key="abc:tepid-lynx")
        yield by_model("speech")


def record(experiment: str, *, key: str) -> bool:
    """Record two models, one of which has a history, a figure, a table and a dataset."""
    Path("figure.png").write_text("figure")
    lstm = Run(
        name="lstm: tepid-lynx",
        description="The best.",
        tags={"model": "lstm"},
        params=PARAMS,
        metrics=METRICS,
        history=pd.DataFrame({"epoch": [1, 2, 3], "loss": [2.0, 1.5, 1.2], "val_uar": [0.2, 0.5, None]}),
        tables={"tables/roc.json": pd.DataFrame({"threshold": [float("inf"), 0.5]})},
        files={Path("figure.png"): "figures"},
        datasets=[Dataset("demo", "recordings", "data/raw/demo", "0" * 32 + ".dir")],
    )
    svm = Run(name="svm: tepid-lynx", tags={"model": "svm"}, params=MANY_PARAMS, metrics={"test.uar": 0.5})
    parent = Run(name="tepid-lynx", tags={"model": "leaderboard"}, files={Path("figure.png"): ""})
    return mlflow_runs.record(experiment, parent, [lstm, svm], key=key)


def all_runs(experiment: str) -> list[Any]:
    client = mlflow_runs.connect()
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def by_model(experiment: str) -> dict[str, Any]:
    runs = all_runs(experiment)
    assert len({run.data.tags["model"] for run in runs}) == len(runs)
    return {run.data.tags["model"]: run for run in runs}


def artifacts(run: Any, folder: str | None = None) -> list[str]:
    return sorted(file.path for file in mlflow_runs.connect().list_artifacts(run.info.run_id, folder))


def test_runs_of_models_are_nested(runs: dict[str, Any]) -> None:
    """The models' runs are nested in the experiment's, and all are finished."""
    assert set(runs) == {"leaderboard", "lstm", "svm"}
    parents = {model: run.data.tags.get("mlflow.parentRunId") for model, run in runs.items()}
    parent = runs["leaderboard"].info.run_id
    assert parents == {"leaderboard": None, "lstm": parent, "svm": parent}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["leaderboard"].data.tags[mlflow_runs.RECORD] == "abc:tepid-lynx"


def test_params_and_metrics(runs: dict[str, Any]) -> None:
    """All params and metrics are logged, in as many requests as needed; a history is one step per epoch."""
    data = runs["lstm"].data
    assert data.params == {key: str(value) for key, value in PARAMS.items()}
    assert {key: value for key, value in data.metrics.items() if not key.startswith("epoch.")} == METRICS
    assert runs["svm"].data.params == {key: str(value) for key, value in MANY_PARAMS.items()}
    assert set(runs["svm"].data.metrics) == {"test.uar"}
    client, run_id = mlflow_runs.connect(), runs["lstm"].info.run_id
    points = client.get_metric_history(run_id, "epoch.val_uar")
    assert [(point.step, point.value) for point in points] == [(1, 0.2), (2, 0.5)]
    assert len(client.get_metric_history(run_id, "epoch.loss")) == 3


def test_artifacts(runs: dict[str, Any]) -> None:
    """Files are in their folders, tables where MLflow shows them, and the description is the run's note."""
    run = runs["lstm"]
    assert artifacts(run) == ["figures", "tables"]
    assert artifacts(run, "figures") == ["figures/figure.png"]
    assert "tables/roc.json" in run.data.tags["mlflow.loggedArtifacts"]
    assert artifacts(runs["leaderboard"]) == ["figure.png"]
    assert (run.info.run_name, run.data.tags["mlflow.note.content"]) == ("lstm: tepid-lynx", "The best.")
    [dataset_input] = run.inputs.dataset_inputs
    assert (dataset_input.dataset.name, dataset_input.dataset.digest) == ("demo", "0" * 32 + ".dir")
    assert [(tag.key, tag.value) for tag in dataset_input.tags] == [("mlflow.data.context", "recordings")]
    assert "data/raw/demo" in dataset_input.dataset.source


def test_artifacts_are_stored_in_the_project(runs: dict[str, Any], project: Path) -> None:
    """Artifacts of a temporary experiment are in the project's root, not in the temporary folder."""
    assert list((project / "mlartifacts").rglob("figure.png"))
    assert [path.name for path in (project / "tmp" / "experiment").iterdir()] == ["figure.png"]
    assert runs["lstm"].info.artifact_uri.startswith((project / "mlartifacts").resolve().as_uri())


def test_result_is_recorded_once(runs: dict[str, Any]) -> None:
    """A result is recorded once per experiment name; the workspace needs no run if an experiment has one."""
    n_runs = len(all_runs("speech"))
    keys = ["abc:tepid-lynx", "abc:", "abc:owl", "abd:tepid-lynx", "abd:", "ab:"]
    assert [mlflow_runs.is_recorded("speech", key) for key in keys] == [True, True, False, False, False, False]
    assert not mlflow_runs.is_recorded("nothing", "abc:tepid-lynx")
    assert not record("speech", key="abc:tepid-lynx")
    assert not record("speech", key="abc:")
    assert len(all_runs("speech")) == n_runs
    assert record("speech", key="abc:other-name")
    assert len(all_runs("speech")) == n_runs + 3


def test_interrupted_record_is_replaced(runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of an interrupted record are deleted by the next one, which is complete."""
    log = mlflow_runs._log

    def interrupted(client: Any, run_id: str, run: Run, **options: Any) -> None:
        if run.name.startswith("svm"):
            raise KeyboardInterrupt
        log(client, run_id, run, **options)

    monkeypatch.setattr(mlflow_runs, "_log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record("broken", key="def:broken")
    assert len(all_runs("broken")) == 3
    assert not mlflow_runs.is_recorded("broken", "def:broken")
    monkeypatch.undo()
    assert record("broken", key="def:broken")
    assert {model: run.info.status for model, run in by_model("broken").items()} == dict.fromkeys(runs, "FINISHED")


def test_tracking_uri_replaces_the_store(
    runs: dict[str, Any], tmp_path: Path, mlflow_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs go to MLFLOW_TRACKING_URI, and the project's own store does not change."""
    n_experiments = len(mlflow_runs.connect().search_experiments())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copyfile(mlflow_db, tmp_path / 'team.db')}")
    record("team", key="abc:team")
    assert set(by_model("team")) == set(runs)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert mlflow_runs.connect().get_experiment_by_name("team") is None
    assert len(mlflow_runs.connect().search_experiments()) == n_experiments


@pytest.mark.slow
def test_concurrent_records(tmp_path: Path) -> None:
    """Of two processes that record the same result in a new store, both succeed, and one writes."""
    code = "from ser.tracking import mlflow_runs as m; print(m.record('speech', m.Run(name='a'), key='abc:a'))"
    env = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    options: dict[str, Any] = {"env": env | {"DVC_ROOT": str(tmp_path), "PYTHONPATH": str(ROOT)}, "cwd": tmp_path}
    options |= {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen([sys.executable, "-c", code], **options) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sorted(out.splitlines()[-1] for out, _ in outputs) == ["False", "True"]
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)
