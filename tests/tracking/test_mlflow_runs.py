"""An experiment is recorded in MLflow once and completely: a parent run, and a nested run for each model."""

import os
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
from ser.utils.errors import UserError

ROOT = Path(__file__).parents[2]
PARAMS = {
    "data_seed": 1,
    "train_lstm.dropout": 0.3,
    "features.frame_features": ["mel", "mfcc"],
    "preprocess.trim_top_db": None,
}
MANY = {f"section.key{n}": n for n in range(150)}
"""More settings than a server takes at once."""


@pytest.mark.parametrize(
    ("nested", "expected"),
    [
        ({"seed": 1}, {"seed": 1}),
        (
            {"split": {"test_fraction": 0.2, "val_fraction": 0.1}},
            {"split.test_fraction": 0.2, "split.val_fraction": 0.1},
        ),
        ({"a": {"b": {"c": [1, 2], "d": None}}}, {"a.b.c": [1, 2], "a.b.d": None}),
        ({"emotions": {"merge": {}}}, {}),
    ],
)
def test_settings_are_flattened(nested: dict[str, Any], expected: dict[str, Any]) -> None:
    """Nested settings become section.key, lists stay as they are."""
    assert flatten(nested) == expected


# One run, looked at from all sides ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("project")
    return path


@pytest.fixture(scope="module")
def runs(place: Path) -> Iterator[dict[str, Any]]:
    """Record an experiment with two models from a temporary folder, as `dvc exp run --temp` does."""
    elsewhere = place / "tmp" / "experiment"
    elsewhere.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        patch.setenv("DVC_ROOT", str(place))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert record(experiment="speech", key="abc:tepid-lynx")
        yield by_model(experiment="speech")


def record(*, experiment: str, key: str, failed: bool = False) -> bool:
    """Record two models, of which one has a history, a picture, a table and data."""
    Path("picture.png").write_text("picture")
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [2.0, 1.5, 1.2], "val_uar": [0.2, 0.5, None]})
    lstm = Run(
        name="lstm: tepid-lynx",
        description="The best.",
        tags={"model": "lstm"},
        params=PARAMS,
        metrics={"test.uar": 0.6, "test.clips": 10, "robustness.level_-12db.uar": 0.5},
        history=history,
        tables={"tables/roc.json": pd.DataFrame({"threshold": [float("inf"), 0.5]})},
        files={Path("picture.png"): "figures"},
        datasets=[Dataset("demo", "recordings", "data/raw/demo", "0" * 32 + ".dir")],
    )
    svm = Run(name="svm: tepid-lynx", tags={"model": "svm"}, params=MANY, metrics={"test.uar": 0.5})
    parent = Run(name="tepid-lynx", tags={"model": "leaderboard"}, files={Path("picture.png"): ""})
    return mlflow_runs.record(experiment, parent, [lstm, svm], key=key, failed=failed)


def client() -> Any:
    return mlflow_runs.connect()


def found(experiment: str) -> list[Any]:
    return list(client().search_runs([client().get_experiment_by_name(experiment).experiment_id]))


def by_model(*, experiment: str) -> dict[str, Any]:
    runs = found(experiment)
    assert len({run.data.tags["model"] for run in runs}) == len(runs)
    return {run.data.tags["model"]: run for run in runs}


def artifacts(run: Any, folder: str | None = None) -> list[str]:
    return sorted(file.path for file in client().list_artifacts(run.info.run_id, folder))


def test_one_run_for_the_experiment_and_one_for_each_model(runs: dict[str, Any]) -> None:
    """The models' runs are nested in the experiment's, and all of them are finished."""
    assert set(runs) == {"leaderboard", "lstm", "svm"}
    parent = runs["leaderboard"].info.run_id
    assert "mlflow.parentRunId" not in runs["leaderboard"].data.tags
    for model in ("lstm", "svm"):
        assert runs[model].data.tags["mlflow.parentRunId"] == parent
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["leaderboard"].data.tags[mlflow_runs.RECORD] == "abc:tepid-lynx"


def test_settings_and_metrics_keep_their_names(runs: dict[str, Any]) -> None:
    """Settings and metrics are called what DVC calls them, however many they are."""
    data = runs["lstm"].data
    assert data.params == {key: str(value) for key, value in PARAMS.items()}
    final = {key: value for key, value in data.metrics.items() if not key.startswith("epoch.")}
    assert final == {"test.uar": 0.6, "test.clips": 10, "robustness.level_-12db.uar": 0.5}
    assert runs["svm"].data.params == {key: str(value) for key, value in MANY.items()}


def test_the_history_is_a_curve(runs: dict[str, Any]) -> None:
    """Each epoch's numbers are steps of a metric; a number that is missing and a model without epochs have none."""
    points = client().get_metric_history(runs["lstm"].info.run_id, "epoch.val_uar")
    assert [(point.step, point.value) for point in points] == [(1, 0.2), (2, 0.5)]
    assert len(client().get_metric_history(runs["lstm"].info.run_id, "epoch.loss")) == 3
    assert not [name for name in runs["svm"].data.metrics if name.startswith("epoch.")]


def test_pictures_tables_and_words_are_kept(runs: dict[str, Any]) -> None:
    """Files lie in their folders, tables where MLflow's pages look for them, and the description is shown."""
    assert artifacts(runs["lstm"]) == ["figures", "tables"]
    assert artifacts(runs["lstm"], "figures") == ["figures/picture.png"]
    assert "tables/roc.json" in runs["lstm"].data.tags["mlflow.loggedArtifacts"]
    assert artifacts(runs["leaderboard"]) == ["picture.png"]
    assert runs["lstm"].data.tags["mlflow.note.content"] == "The best."
    assert runs["lstm"].info.run_name == "lstm: tepid-lynx"


def test_datasets_have_dvc_s_digest(runs: dict[str, Any]) -> None:
    """A run names what it was made from, with the hash by which DVC has it."""
    [given] = runs["lstm"].inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("demo", "0" * 32 + ".dir")
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "recordings")]
    assert "data/raw/demo" in given.dataset.source


def test_the_store_outlives_a_temporary_folder(runs: dict[str, Any], place: Path) -> None:
    """Store and artifacts lie in the project's root, and nothing of them in the folder the run took place in."""
    assert (place / "mlflow.db").is_file()
    assert list((place / "mlartifacts").rglob("picture.png"))
    assert [path.name for path in (place / "tmp" / "experiment").iterdir()] == ["picture.png"]
    assert runs["lstm"].info.artifact_uri.startswith((place / "mlartifacts").resolve().as_uri())


# Once and whole -------------------------------------------------------------------------------------------------------


def test_the_same_is_recorded_once(runs: dict[str, Any]) -> None:
    """A second record of a result under the same name, or of the workspace, adds nothing; another name does."""
    before = len(found("speech"))
    keys = ["abc:tepid-lynx", "abc:", "abc:owl", "abd:tepid-lynx", "abd:", "ab:"]
    assert [mlflow_runs.is_recorded("speech", key) for key in keys] == [True, True, False, False, False, False]
    assert not mlflow_runs.is_recorded("nothing", "abc:tepid-lynx")
    assert not record(experiment="speech", key="abc:tepid-lynx")
    assert not record(experiment="speech", key="abc:")
    assert len(found("speech")) == before
    assert record(experiment="speech", key="abc:other-name")
    assert len(found("speech")) == before + 3


def test_an_interrupted_record_is_made_anew(runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a record left that broke off is deleted by the next one, which is whole."""
    log = mlflow_runs._log

    def breaking(client: Any, run_id: str, run: Run, **more: Any) -> None:
        if run.name.startswith("svm"):
            raise KeyboardInterrupt
        log(client, run_id, run, **more)

    monkeypatch.setattr(mlflow_runs, "_log", breaking)
    with pytest.raises(KeyboardInterrupt):
        record(experiment="broken", key="def:broken")
    assert {run.data.tags["model"] for run in found("broken")} == {"leaderboard", "lstm", "svm"}
    assert not mlflow_runs.is_recorded("broken", "def:broken")
    monkeypatch.undo()
    assert record(experiment="broken", key="def:broken")
    assert set(by_model(experiment="broken")) == {"leaderboard", "lstm", "svm"}
    assert {run.info.status for run in found("broken")} == {"FINISHED"}


def test_a_failure_is_marked(runs: dict[str, Any]) -> None:
    """The run of an experiment that failed says so in the list of runs."""
    assert record(experiment="sad", key="fed:sad", failed=True)
    assert by_model(experiment="sad")["leaderboard"].info.status == "FAILED"
    assert mlflow_runs.is_recorded("sad", "fed:sad")


def test_another_store_is_honoured(runs: dict[str, Any], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With MLFLOW_TRACKING_URI the runs go there, and the project's own store does not change."""
    before = len(client().search_experiments())
    other = place / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    # a copy of the store, as to make one takes seconds
    (other / "team.db").write_bytes((place / "mlflow.db").read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other / 'team.db'}")
    record(experiment="elsewhere", key="abc:elsewhere")
    assert set(by_model(experiment="elsewhere")) == {"leaderboard", "lstm", "svm"}
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert client().get_experiment_by_name("elsewhere") is None
    assert len(client().search_experiments()) == before


def test_two_processes_may_be_the_first(tmp_path: Path) -> None:
    """Of two processes that record the same at once on a new store both succeed, and one writes."""
    code = "from ser.tracking import mlflow_runs as m; print(m.record('speech', m.Run(name='a'), key='abc:a'))"
    without = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    env = without | {"DVC_ROOT": str(tmp_path), "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=env,
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(out.splitlines()[-1] for out, _ in said) == ["False", "True"]
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)


def test_a_server_that_is_away_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing answers at the address: the error names it and the command that records the result later."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=r"http://127.0.0.1:9.*dvc repro record"):
        mlflow_runs.record("speech", Run(name="a"), key="abc:a")
