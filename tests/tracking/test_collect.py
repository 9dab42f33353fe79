"""The content of runs is collected from the files of the stages, and a result has a key of its content."""

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
from ser.tracking import collect, run_metadata
from ser.utils.errors import UserError, handle_user_errors
from tests.helpers import factories

ROOT = Path(__file__).parents[2]
CLASSES = ["neutral", "happy", "sad"]
TRUE = CLASSES * 2
ANSWERS = {"svm": TRUE, "lstm": ["neutral"] * 6}
METRICS = {
    "svm": {"test": {"uar": 1.0, "cohen_kappa": 1.0}, "val": {"uar": 0.9}},
    "lstm": {"test": {"uar": 0.3333}, "val": {"uar": 0.3}},
}
PAGE = "# Leaderboard\n\nTested on strangers.\n\n**A warning.**\n\n|   rank | model |\n\nThe end."
LOCK = {"stages": {"download@ravdess": {"outs": [{"path": "data/raw/ravdess", "md5": "12.dir"}]}, "record": {}}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project whose stages have left their files."""
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for folder in ("metrics", "data/predictions", "reports/confusion", "reports/lstm", "reports/evaluation"):
        Path(folder).mkdir(parents=True)
    Path("params.yaml").write_text(
        "corpora: [ravdess]\nbaselines: [svm]\nsplit: {protocol: speaker_independent}\n"
        "evaluate: {mlflow_experiment: trial}\n"
    )
    Path("metrics/metrics.json").write_text(json.dumps(METRICS))
    Path("dvc.lock").write_text(json.dumps(LOCK))
    board = {
        "rank": [1, 2],
        "model": ["svm", "lstm"],
        "uar": [1, 0.3333],
        "uar_ci_low": [0.9, None],
        "uar_ci_high": [1, None],
    }
    pd.DataFrame(board).to_csv("reports/leaderboard.csv", index=False)
    Path("reports/leaderboard.md").write_text(PAGE)
    Path("reports/evaluation.html").write_text("voices")
    history = {"fold": [1, 1, 1], "seed": [1, 1, 2], "epoch": [1, 2, 1], "val_uar": [0.3, 0.5, 0.7]}
    pd.DataFrame(history).to_csv(paths.HISTORY_CSV, index=False)
    pd.DataFrame({"clip_id": ["a"], "fold": [1], "split": ["test"]}).to_csv("data/splits.csv", index=False)
    for model, answers in ANSWERS.items():
        table = factories.predicted(TRUE, answers, classes=CLASSES)
        table.to_parquet(f"data/predictions/{model}.parquet", index=False)
        Path(f"reports/confusion/{model}_test.png").touch()
        Path(f"reports/evaluation/{model}_roc.png").touch()
        Path(f"models/exported/{model}").mkdir(parents=True)
        Path(f"models/exported/{model}/card.json").write_text(model)
    card = SimpleNamespace(kind="baseline", labels=tuple(CLASSES))
    monkeypatch.setattr(collect, "read_card", lambda _folder: card)
    return tmp_path


def collected() -> tuple[Any, dict[str, Any]]:
    parent, models = collect.collect(run_metadata.read_settings())
    return parent, {model.tags["model"]: model for model in models}


def test_the_experiment_shows_its_headline(project: Path) -> None:
    """The parent names the best model and has its headline, the leaderboard, and what makes the result again."""
    parent, _ = collected()
    assert parent.tags["best_model"] == "svm"
    assert parent.metrics == {"test.uar": 1.0}
    assert parent.description == PAGE
    assert {"params.yaml", "dvc.lock", "data/splits.csv", "metrics/metrics.json"} <= {*map(str, parent.files)}
    assert (parent.tags["corpora"], parent.tags["protocol"]) == ("ravdess", "speaker_independent")
    assert Path("reports/evaluation.html") not in parent.files  # recordings are in it


def test_models_come_best_first_with_all_their_numbers(project: Path) -> None:
    """Each child has every metric and setting under DVC's name, and says how good it is, and under what warning."""
    _, models = collected()
    assert list(models) == ["svm", "lstm"]
    assert models["svm"].metrics == {"test.uar": 1.0, "test.cohen_kappa": 1.0, "val.uar": 0.9}
    assert models["svm"].params["split.protocol"] == "speaker_independent"
    first, *notes = models["svm"].description.split("\n\n")
    assert all(part in first for part in ("**svm**", "1.000", "0.900", "rank 1 of 2"))
    assert notes == ["Tested on strangers.", "**A warning.**"]
    assert "95 %" not in models["lstm"].description


def test_curves_pictures_and_tables(project: Path) -> None:
    """The LSTM has the mean history; each model its pictures, predictions, and matrices and curves as tables."""
    _, models = collected()
    assert models["svm"].history is None
    assert list(models["lstm"].history.epoch) == [1, 2]
    assert list(models["lstm"].history.val_uar) == [0.5, 0.5]  # the second model stopped after an epoch
    assert list(models["lstm"].history) == ["epoch", "val_uar"]
    for name, model in models.items():
        assert {f"reports/confusion/{name}_test.png", f"reports/evaluation/{name}_roc.png"} <= {*map(str, model.files)}
        assert model.files[Path(f"data/predictions/{name}.parquet")] == "predictions"
        assert set(model.tables) == {"tables/confusion.json", "tables/roc.json", "tables/calibration.json"}
        assert model.model.labels == tuple(CLASSES)
    assert models["lstm"].tables["tables/confusion.json"].neutral.tolist() == [2, 2, 2]


def test_data_have_dvc_s_hashes(project: Path) -> None:
    """Recordings are named with the hash in dvc.lock; without dvc.lock there is no hash."""
    parent, _ = collected()
    recordings, split = parent.datasets
    assert (recordings.name, recordings.source, recordings.digest) == ("ravdess", "data/raw/ravdess", "12.dir")
    assert (split.name, split.source, split.digest) == ("splits", "data/splits.csv", None)
    Path("dvc.lock").unlink()
    assert collected()[0].datasets[0].digest is None


# Names ----------------------------------------------------------------------------------------------------------------


def test_a_result_is_named_by_all_that_is_recorded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key changes with metrics, predictions, models, settings and DVC's experiment, and not with an order."""
    settings = run_metadata.read_settings()
    keys = [run_metadata.record_key(["lstm", "svm"], settings)]
    assert run_metadata.record_key(["svm", "lstm"], dict(reversed(settings.items()))) == keys[0]
    for file in ("metrics/metrics.json", "data/predictions/lstm.parquet", "models/exported/svm/card.json"):
        Path(file).write_bytes(Path(file).read_bytes() + b" ")
        keys.append(run_metadata.record_key(["lstm", "svm"], settings))
    keys.append(run_metadata.record_key(["lstm", "svm"], settings | {"data_seed": 2}))
    monkeypatch.setenv("DVC_EXP_NAME", "tepid-lynx")
    keys.append(run_metadata.record_key(["lstm", "svm"], settings))
    assert len(set(keys)) == len(keys)
    assert keys[-1].endswith(":tepid-lynx")


def test_what_is_missing_is_named(project: Path) -> None:
    """If a stage has not written its files, the error names them and what makes them."""
    Path("models/exported/svm/card.json").unlink()
    with pytest.raises(UserError, match=r"models/exported/svm/card\.json.*dvc repro"):
        run_metadata.record_key(["lstm", "svm"], run_metadata.read_settings())


def test_a_run_names_where_it_is_from(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit can be looked up, and under `dvc exp run` the baseline; outside Git there is nothing to name."""
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
    assert (run_metadata.run_tags()["dvc_exp_name"], run_metadata.run_tags()["dvc_exp_baseline"]) == (
        "tepid-lynx",
        "abc",
    )


# Failures -------------------------------------------------------------------------------------------------------------


@handle_user_errors
def stage(error: Exception | None) -> None:
    """Fail, or not."""
    if error:
        raise error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(UserError("units is 0; set 1."), "units is 0; set 1."), (KeyError("uar"), "KeyError: 'uar'")],
)
def test_a_failing_stage_hands_its_sentence_on(
    monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    """Under DVC another process is told stage and sentence, whatever the error; elsewhere, and in success, none is."""
    told: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: told.append(command))
    monkeypatch.setenv("DVC_STAGE", "train_lstm")
    stage(None)
    assert told == []
    with pytest.raises((SystemExit, KeyError)):
        stage(error)
    assert told == [[sys.executable, "-m", "ser.tracking.failures", "train_lstm", sentence]]
    monkeypatch.delenv("DVC_STAGE")
    with pytest.raises((SystemExit, KeyError)):
        stage(error)
    assert len(told) == 1


def test_a_failure_leaves_one_failed_run(project: Path) -> None:
    """The run is FAILED, has the settings, whatever they are, and the error; a repetition leaves no other."""
    from ser.tracking import failures, mlflow_runs

    Path("params.yaml").write_text("corpora: tess\ntrain_lstm: {lstm_units: 0}\nevaluate: {mlflow_experiment: trial}\n")
    assert failures.record_failure("train_lstm", "lstm_units is 0.")
    assert not failures.record_failure("train_lstm", "lstm_units is 0.")
    client = mlflow_runs.connect()
    [run] = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    assert (run.info.status, run.data.tags["error"], run.data.tags["stage"]) == (
        "FAILED",
        "lstm_units is 0.",
        "train_lstm",
    )
    assert run.data.params["train_lstm.lstm_units"] == "0"
    assert run.data.tags["corpora"] == "tess"


@pytest.mark.parametrize("content", ["[", "", "- 1", None])
def test_a_failure_for_want_of_settings_has_none(project: Path, content: str | None) -> None:
    """Settings that are no YAML, or not there, are recorded as none at all."""
    Path("params.yaml").write_text(content) if content is not None else Path("params.yaml").unlink()
    assert run_metadata.read_settings() == {}
    assert run_metadata.experiment_tags({}) == {"corpora": "None", "protocol": "None"}


def test_a_store_that_is_away_does_not_hide_the_error(tmp_path: Path) -> None:
    """Where the failure cannot be recorded either, the stage still ends with its own sentence."""
    code = "from ser.utils.errors import UserError, handle_user_errors\n"
    code += "@handle_user_errors\ndef main(): raise UserError('bad.')\nmain()"
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "DVC_STAGE": "split"}
    env = os.environ | away | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    first, last = ended.stderr.splitlines()
    assert "http://127.0.0.1:9" in first
    assert (ended.returncode, last) == (1, "error: bad.")
