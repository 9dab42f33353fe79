"""Every run is remembered in MLflow: a parent for the leaderboard, a child for each model."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser import tracking
from ser.tracking import Record, flatten

ROOT = Path(__file__).parents[1]
BOARD = pd.DataFrame({"model": ["lstm", "svm"], "uar": [0.6, 0.5]})
TAGS = {"corpora": "ravdess,tess", "protocol": "speaker"}
DESCRIPTION = "Tested on speakers who are not in training."
PARAMS = {"seed": 1, "train_lstm.dropout": 0.3, "features.frames": ["mel", "mfcc"], "preprocess.trim_db": None}


@pytest.mark.parametrize(
    ("nested", "expected"),
    [
        ({"seed": 1}, {"seed": 1}),
        ({"split": {"test": 0.2, "val": 0.1}}, {"split.test": 0.2, "split.val": 0.1}),
        ({"a": {"b": {"c": [1, 2], "d": None}}}, {"a.b.c": [1, 2], "a.b.d": None}),
        ({"emotions": {"merge": {}}}, {}),
    ],
)
def test_settings_are_flattened(nested: dict[str, Any], expected: dict[str, Any]) -> None:
    """Nested settings become section.key, lists stay as they are."""
    assert flatten(nested) == expected


def test_the_project_s_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under DVC the store is the main workspace's, also in a temporary experiment; else that of the folder at hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert tracking.root() == tmp_path.resolve()
    monkeypatch.setenv("DVC_ROOT", str(ROOT))
    assert tracking.root() == ROOT.resolve()


# One run, looked at from all sides ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("project")
    return path


@pytest.fixture(scope="module")
def runs(place: Path) -> Iterator[dict[str, Any]]:
    """Record a leaderboard of two models from a temporary folder, as `dvc exp run --temp` does."""
    elsewhere = place / "tmp" / "experiment"
    elsewhere.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        patch.setenv("DVC_ROOT", str(place))
        patch.setenv("DVC_EXP_NAME", "tepid-lynx")
        patch.setenv("DVC_EXP_BASELINE_REV", "abc123")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        record(experiment="speech")
        yield by_model(experiment="speech")


def record(*, experiment: str) -> None:
    """Record two models whose files are in the current folder."""
    for model in ("lstm", "svm"):
        (Path("models") / model).mkdir(parents=True, exist_ok=True)
        (Path("models") / model / "card.json").write_text(model)
        Path(f"{model}_test.png").write_text("picture")
    Path("leaderboard.md").write_text("# Leaderboard")
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [2.0, 1.5, 1.2], "val_uar": [0.2, 0.5, 0.4]})
    records = {
        model: Record(
            params=PARAMS,
            metrics={"test": {"uar": uar, "clips": 10.0}, "val": {"uar": 0.7}},
            history=history if model == "lstm" else None,
            reports=[Path(f"{model}_test.png")],
            model=Path("models") / model,
        )
        for model, uar in (("lstm", 0.6), ("svm", 0.5))
    }
    reports = [Path("leaderboard.md")]
    tracking.record(experiment, records, board=BOARD, reports=reports, tags=TAGS, description=DESCRIPTION)


def client() -> Any:
    return tracking._client()


def by_model(*, experiment: str) -> dict[str, Any]:
    found = client().search_runs([client().get_experiment_by_name(experiment).experiment_id])
    assert len({run.data.tags["model"] for run in found}) == len(found)
    return {run.data.tags["model"]: run for run in found}


def artifacts(run: Any, folder: str | None = None) -> list[str]:
    return sorted(file.path for file in client().list_artifacts(run.info.run_id, folder))


def test_one_run_for_the_leaderboard_and_one_for_each_model(runs: dict[str, Any]) -> None:
    """The models' runs are nested in the leaderboard's, and all of them are finished."""
    assert set(runs) == {"leaderboard", "lstm", "svm"}
    parent = runs["leaderboard"].info.run_id
    assert "mlflow.parentRunId" not in runs["leaderboard"].data.tags
    for model in ("lstm", "svm"):
        assert runs[model].data.tags["mlflow.parentRunId"] == parent
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_the_parent_names_the_best_model(runs: dict[str, Any]) -> None:
    """The list of runs shows which model won, and with what UAR."""
    assert runs["leaderboard"].data.params == {"best_model": "lstm"}
    assert runs["leaderboard"].data.metrics == {"test_uar": 0.6}
    assert artifacts(runs["leaderboard"]) == ["leaderboard.md"]


def test_each_model_has_its_settings_and_metrics(runs: dict[str, Any]) -> None:
    """Settings and metrics of validation and test can be compared between runs."""
    for model, uar in (("lstm", 0.6), ("svm", 0.5)):
        data = runs[model].data
        assert data.params == {key: str(value) for key, value in PARAMS.items()}
        final = {key: value for key, value in data.metrics.items() if not key.startswith("epoch_")}
        assert final == {"test_uar": uar, "test_clips": 10, "val_uar": 0.7}


def test_the_history_is_a_curve(runs: dict[str, Any]) -> None:
    """Each epoch's numbers are steps of a metric; a model without epochs has none."""
    points = client().get_metric_history(runs["lstm"].info.run_id, "epoch_val_uar")
    assert [(point.step, point.value) for point in points] == [(1, 0.2), (2, 0.5), (3, 0.4)]
    assert "epoch_loss" in runs["lstm"].data.metrics
    assert not [name for name in runs["svm"].data.metrics if name.startswith("epoch_")]


@pytest.mark.parametrize("model", ["lstm", "svm"])
def test_models_and_pictures_are_kept(runs: dict[str, Any], model: str) -> None:
    """The saved model and its pictures can be fetched from the run."""
    assert artifacts(runs[model], "model") == ["model/card.json"]
    assert artifacts(runs[model], "reports") == [f"reports/{model}_test.png"]


def test_runs_say_where_they_are_from(runs: dict[str, Any]) -> None:
    """Tags name corpora, protocol and DVC's experiment, as does the run's name, and MLflow shows the description."""
    for model, run in runs.items():
        tags = run.data.tags
        assert TAGS.items() <= tags.items()
        assert tags["mlflow.note.content"] == DESCRIPTION
        assert (tags["dvc_exp_name"], tags["dvc_exp_baseline"]) == ("tepid-lynx", "abc123")
        assert run.info.run_name == ("tepid-lynx" if model == "leaderboard" else f"tepid-lynx: {model}")


def test_a_run_names_its_git_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit whose code ran can be looked up; outside Git and `dvc exp run` there is nothing to name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert tracking._origin() == {}
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    revision = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert tracking._origin()["git_revision"] == revision


def test_the_store_outlives_a_temporary_folder(runs: dict[str, Any], place: Path) -> None:
    """Store and artifacts lie in the project's root, and nothing of them in the folder the run took place in."""
    assert (place / "mlflow.db").is_file()
    assert list((place / "mlartifacts").rglob("card.json"))
    left = {path.name for path in (place / "tmp" / "experiment").iterdir()}
    assert left == {"models", "lstm_test.png", "svm_test.png", "leaderboard.md"}
    assert runs["lstm"].info.artifact_uri.startswith((place / "mlartifacts").resolve().as_uri())


def test_another_store_is_honoured(runs: dict[str, Any], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With MLFLOW_TRACKING_URI the runs go there, and the project's own store does not change."""
    before = len(client().search_experiments())
    other = place / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    # a copy of the store, as to make one takes seconds
    (other / "team.db").write_bytes((place / "mlflow.db").read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other / 'team.db'}")
    record(experiment="elsewhere")
    assert set(by_model(experiment="elsewhere")) == {"leaderboard", "lstm", "svm"}
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert client().get_experiment_by_name("elsewhere") is None
    assert len(client().search_experiments()) == before


def test_two_processes_may_be_the_first(tmp_path: Path) -> None:
    """Two runs that start at once on a new store both succeed, and share one experiment."""
    code = "from ser import tracking; print(tracking._experiment(tracking._client(), 'speech'))"
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
    assert len({out.splitlines()[-1] for out, _ in said}) == 1
