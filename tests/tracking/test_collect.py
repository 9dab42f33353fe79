"""Test the content of runs, the key of a result, and the recording of failures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from ser import paths
from ser.tracking import collect, failures, mlflow_runs, run_metadata
from ser.tracking.mlflow_runs import Run
from ser.utils.errors import UserError, handle_user_errors
from tests.helpers import factories, mlflow_store

ROOT = Path(__file__).parents[2]
CLASSES = ["neutral", "happy", "sad"]
TRUE = CLASSES * 2
PREDICTED = {"svm": TRUE, "lstm": ["neutral"] * 6}
METRICS = {
    "svm": {"test": {"uar": 1.0, "cohen_kappa": 1.0}, "val": {"uar": 0.9}},
    "lstm": {"test": {"uar": 0.3333}, "val": {"uar": 0.3}},
}
PARAMS = """
corpora: [ravdess]
baselines: [svm]
split: {protocol: speaker_independent}
evaluate: {mlflow_experiment: trial}
"""
LOCK = {"stages": {"download@ravdess": {"outs": [{"path": "data/raw/ravdess", "md5": "12.dir"}]}, "record": {}}}
LEADERBOARD = "# Leaderboard\n\nUnseen speakers.\n\n**A warning.**\n\n|   rank | model |\n\nThe end."


@pytest.fixture
def project(tmp_path: Path, mlflow_db: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a project with the files of all stages."""
    mlflow_store.enter(tmp_path, mlflow_db, monkeypatch)
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    for folder in ("metrics", "data/predictions", "reports/confusion", "reports/lstm", "reports/evaluation"):
        Path(folder).mkdir(parents=True)
    paths.PARAMS.write_text(PARAMS)
    paths.METRICS.write_text(json.dumps(METRICS))
    paths.LOCK.write_text(json.dumps(LOCK))
    scores = {"uar": [1, 0.3333], "uar_ci_low": [0.9, None], "uar_ci_high": [1, None]}
    pd.DataFrame({"rank": [1, 2], "model": ["svm", "lstm"], **scores}).to_csv(paths.LEADERBOARD_CSV, index=False)
    paths.LEADERBOARD_MD.write_text(LEADERBOARD)
    Path("reports/evaluation.html").write_text("recordings")
    history = {"fold": [1, 1, 1], "seed": [1, 1, 2], "epoch": [1, 2, 1], "val_uar": [0.3, 0.5, 0.7]}
    pd.DataFrame(history).to_csv(paths.HISTORY_CSV, index=False)
    paths.SPLITS.write_text("clip_id,fold,split\na,1,test\n")
    for model, predicted in PREDICTED.items():
        table = factories.predicted(TRUE, predicted, classes=CLASSES)
        table.to_parquet(paths.predictions(model), index=False)
        Path(f"reports/confusion/{model}_test.png").touch()
        Path(f"reports/evaluation/{model}_roc.png").touch()
        paths.exported(model).mkdir(parents=True)
        (paths.exported(model) / "card.json").write_text(model)
    card = SimpleNamespace(kind="baseline", labels=tuple(CLASSES))
    monkeypatch.setattr(collect, "read_card", lambda _folder: card)
    return tmp_path


def collect_runs() -> tuple[Run, dict[str, Any]]:
    experiment, models = collect.collect(run_metadata.read_settings())
    return experiment, {model.tags["model"]: model for model in models}


def test_experiment(project: Path) -> None:
    """The experiment has the metrics of the best model, and the files of the result without recordings."""
    experiment, _ = collect_runs()
    assert experiment.metrics == {"test.uar": 1.0}
    assert experiment.description == LEADERBOARD
    expected = {"best_model": "svm", "corpora": "ravdess", "protocol": "speaker_independent"}
    assert expected.items() <= experiment.tags.items()
    assert {"params.yaml", "dvc.lock", "data/splits.csv", "metrics/metrics.json"} <= {*map(str, experiment.files)}
    assert Path("reports/evaluation.html") not in experiment.files


def test_models(project: Path) -> None:
    """Models come best first, with all metrics, settings, files and tables, and the warnings of the leaderboard."""
    _, models = collect_runs()
    assert list(models) == ["svm", "lstm"]
    assert models["svm"].metrics == {"test.uar": 1.0, "test.cohen_kappa": 1.0, "val.uar": 0.9}
    assert models["svm"].params["split.protocol"] == "speaker_independent"
    score, *notes = models["svm"].description.split("\n\n")
    assert all(part in score for part in ("**svm**", "1.000", "0.900", "rank 1 of 2"))
    assert notes == ["Unseen speakers.", "**A warning.**"]
    assert "95 %" not in models["lstm"].description
    for name, model in models.items():
        assert {f"reports/confusion/{name}_test.png", f"reports/evaluation/{name}_roc.png"} <= {*map(str, model.files)}
        assert model.files[paths.predictions(name)] == "predictions"
        assert set(model.tables) == {"tables/confusion.json", "tables/roc.json", "tables/calibration.json"}
        assert model.model.labels == tuple(CLASSES)
    assert models["lstm"].tables["tables/confusion.json"].neutral.tolist() == [2, 2, 2]


def test_history_is_the_mean_over_folds_and_seeds(project: Path) -> None:
    """Only the network has a history, averaged over the networks that reached an epoch."""
    _, models = collect_runs()
    assert models["svm"].history is None
    assert models["lstm"].history.to_dict("list") == {"epoch": [1, 2], "val_uar": [0.5, 0.5]}


def test_datasets_have_the_hashes_of_dvc_lock(project: Path) -> None:
    """Recordings and split are inputs, without hash if there is no dvc.lock."""
    recordings, split = collect_runs()[0].datasets
    assert (recordings.name, recordings.source, recordings.digest) == ("ravdess", "data/raw/ravdess", "12.dir")
    assert (split.name, split.source, split.digest) == ("splits", "data/splits.csv", None)
    paths.LOCK.unlink()
    assert collect_runs()[0].datasets[0].digest is None


def test_record_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key depends on metrics, predictions, models, settings and DVC experiment, but not on their order."""
    settings = run_metadata.read_settings()
    keys = [run_metadata.record_key(["lstm", "svm"], settings)]
    assert run_metadata.record_key(["svm", "lstm"], dict(reversed(settings.items()))) == keys[0]
    for file in (paths.METRICS, paths.predictions("lstm"), paths.exported("svm") / "card.json"):
        file.write_bytes(file.read_bytes() + b" ")
        keys.append(run_metadata.record_key(["lstm", "svm"], settings))
    keys.append(run_metadata.record_key(["lstm", "svm"], settings | {"data_seed": 2}))
    monkeypatch.setenv("DVC_EXP_NAME", "tepid-lynx")
    keys.append(run_metadata.record_key(["lstm", "svm"], settings))
    assert len(set(keys)) == len(keys)
    assert keys[-1].endswith(":tepid-lynx")
    (paths.exported("svm") / "card.json").unlink()
    with pytest.raises(UserError, match=r"models/exported/svm/card\.json"):
        run_metadata.record_key(["lstm", "svm"], settings)


def test_run_tags(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run has the commit of the workspace, or that of the experiment's baseline; neither outside of Git."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert "git_revision" not in run_metadata.run_tags()
    assert run_metadata.run_name() == "workspace"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    revision = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert run_metadata.run_tags()["git_revision"] == revision
    assert run_metadata.run_name() == f"workspace {revision[:7]}"
    monkeypatch.setenv("DVC_EXP_NAME", "tepid-lynx")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")
    assert run_metadata.run_name() == "tepid-lynx"
    tags = {"git_revision": "abc", "dvc_exp_name": "tepid-lynx", "dvc_exp_baseline": "abc"}
    assert tags.items() <= run_metadata.run_tags().items()


@handle_user_errors
def stage(error: Exception | None) -> None:
    if error:
        raise error


@pytest.mark.parametrize(
    ("error", "message"),
    [(UserError("units is 0; set 1."), "units is 0; set 1."), (KeyError("uar"), "KeyError: 'uar'")],
)
def test_failing_stage_starts_the_recorder(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    """Under DVC, any error is recorded by another process; success and other commands are not."""
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    monkeypatch.setenv("DVC_STAGE", "train_lstm")
    stage(None)
    assert commands == []
    with pytest.raises((SystemExit, KeyError)):
        stage(error)
    assert commands == [[sys.executable, "-m", "ser.tracking.failures", "train_lstm", message]]
    monkeypatch.delenv("DVC_STAGE")
    with pytest.raises((SystemExit, KeyError)):
        stage(error)
    assert len(commands) == 1


def test_failure_is_recorded_once(project: Path) -> None:
    """The run is FAILED and has the error and the settings, valid or not."""
    paths.PARAMS.write_text("corpora: tess\ntrain_lstm: {lstm_units: 0}\nevaluate: {mlflow_experiment: trial}\n")
    assert failures.record_failure("train_lstm", "lstm_units is 0.")
    assert not failures.record_failure("train_lstm", "lstm_units is 0.")
    client = mlflow_runs.connect()
    [run] = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    assert run.info.status == "FAILED"
    tags = {"error": "lstm_units is 0.", "stage": "train_lstm", "corpora": "tess"}
    assert tags.items() <= run.data.tags.items()
    assert run.data.params["train_lstm.lstm_units"] == "0"


@pytest.mark.parametrize("content", ["[", "", "- 1", None])
def test_unreadable_settings_are_empty(project: Path, content: str | None) -> None:
    """A failure is recorded without settings if params.yaml is missing or not a YAML mapping."""
    paths.PARAMS.unlink() if content is None else paths.PARAMS.write_text(content)
    assert run_metadata.read_settings() == {}
    assert run_metadata.experiment_tags({}) == {"corpora": "None", "protocol": "None"}


def test_unreachable_store_does_not_hide_the_error(tmp_path: Path) -> None:
    """If the failure cannot be recorded, that error names the store, and the stage ends with its own error."""
    code = "from ser.utils.errors import UserError, handle_user_errors\n"
    code += "@handle_user_errors\ndef main(): raise UserError('bad.')\nmain()"
    store = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    env = os.environ | store | {"DVC_STAGE": "split", "PYTHONPATH": str(ROOT), "DVC_ROOT": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    first, last = done.stderr.splitlines()
    assert all(part in first for part in ("http://127.0.0.1:9", "dvc repro record"))
    assert (done.returncode, last) == (1, "error: bad.")
