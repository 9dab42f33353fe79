"""Test the whole pipeline as users run it: `dvc repro` and `dvc exp run` in a copy of the project, on tiny corpora."""

import json
import sqlite3
import sys
from collections.abc import Iterator

import pandas as pd
import pytest

from ser import load
from tests.helpers.dvc_project import Project

pytestmark = pytest.mark.slow
UP_TO_DATE = "Data and pipelines are up to date"
RESULTS = ("describe", "export", "report")
"""Stages that all others except `record`, which always runs, lead to."""
MODELS = ["decision_tree", "lstm", "svm"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    project.output = project.dvc("repro", SER_WORKERS="1")
    project.commit("result")
    return project


@pytest.fixture
def project(built: Project) -> Iterator[Project]:
    """Restore the project's tracked files after a test."""
    yield built
    built.git("checkout", "-q", "--", ".")


def query(project: Project, sql: str) -> list[tuple[str, ...]]:
    """Query the project's MLflow store."""
    with sqlite3.connect(project.folder / "mlflow.db") as store:
        return sorted(store.execute(sql))


def recorded_models(project: Project) -> list[str]:
    return [model for (model,) in query(project, "select value from tags where key = 'model'")]


def test_outputs(built: Project) -> None:
    """`dvc repro` ends with metrics, models, reports and MLflow runs of every model."""
    metrics = json.loads((built.folder / "metrics/metrics.json").read_text())
    assert sorted(metrics) == MODELS
    assert all(0 <= splits[split]["uar"] <= 1 for splits in metrics.values() for split in ("val", "test"))
    assert "# Leaderboard" in built.output
    reports = ["leaderboard.csv", "leaderboard.md", "pairwise_tests.csv", "history.png"]
    files = [f"reports/{name}" for name in (*reports, "confusion/lstm_test.png", "confusion/svm_test.csv")]
    members = ["fold1_seed1", "fold1_seed2"]
    network = ("model.keras", "architecture.json", "model.weights.h5")
    files += [f"models/checkpoints/lstm/{member}/{name}" for member in members for name in network]
    files += [f"models/checkpoints/svm/{member}/model.skops" for member in members]
    assert [file for file in files if not (built.folder / file).stat().st_size] == []
    assert list((built.folder / "models/checkpoints").glob("**/*unfinished*")) == []
    for model in MODELS:
        exported = load(built.folder / "models/exported" / model)
        assert [member.name for member in exported.card.members] == members
    assert recorded_models(built) == sorted([*MODELS, "leaderboard"])


def test_test_speakers_are_unseen(built: Project) -> None:
    """Test speakers are in no other split, and models predict only validation and test clips."""
    splits = pd.read_csv(built.folder / "data/splits.csv")
    clips = pd.read_parquet(built.folder / "data/features/frames", columns=["clip_id", "speaker"])
    speakers = splits.merge(clips, on="clip_id").groupby("split").speaker.agg(set)
    assert not speakers["test"] & (speakers["train"] | speakers["val"])
    predictions = pd.read_parquet(built.folder / "data/predictions/lstm.parquet")
    assert set(predictions.split) == {"val", "test"}
    corruptions = {f"robustness_{name}" for name in ("noise_10db", "level_-12db", "level_12db")}
    assert set(predictions.augmentation) == {"", *corruptions}
    assert set(predictions.split[predictions.augmentation != ""]) == {"test"}
    assert set(predictions.original_id) == set(splits.clip_id[splits.split != "train"])


def test_second_repro_does_nothing(built: Project) -> None:
    """No stage runs again, and the result is not recorded again."""
    assert UP_TO_DATE in built.dvc("repro", *RESULTS)
    before = recorded_models(built), built.lock()
    built.dvc("repro")
    assert (recorded_models(built), built.lock()) == before


def test_rebuild_is_bit_exact(built: Project) -> None:
    """`dvc repro -f` with another number of workers leaves dvc.lock and all tracked files as they were."""
    before = built.lock()
    built.dvc("repro", "-f", SER_WORKERS="2")
    assert built.lock() == before
    assert built.git("status", "--porcelain") == ""


BASELINES = {"train_baselines@svm", "train_baselines@decision_tree"}
PER_CORPUS = {
    stage: {f"{stage}@ravdess", f"{stage}@tess"} for stage in ("download", "preprocess", "augment", "featurize")
}


@pytest.mark.parametrize(
    ("edit", "stages"),
    [
        (lambda p: p["train_baselines"]["grids"]["svm"].update(C=[2]), {"train_baselines@svm"}),
        (lambda p: p["train_lstm"].update(lstm_units=4), {"train_lstm", "evaluate", "export"}),
        (lambda p: p.update(model_seeds=[1]), {"train_lstm", *BASELINES}),
        (lambda p: p["features"]["mfcc"].update(delta_order=1), PER_CORPUS["featurize"] | {"describe", "export"}),
        (lambda p: p["augment"].update(copies_per_clip=2), PER_CORPUS["augment"]),
        (lambda p: p["split"].update(val_fraction=0.3), {"split", "evaluate", "export"}),
    ],
)
def test_changed_setting_reruns_its_stages(project: Project, edit, stages: set[str]) -> None:
    """DVC reruns the stages that read a changed setting (report reads all), and no other."""
    project.change(lambda params: edit(params) or params)
    assert project.changed() == stages | {"report"}


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("ser/corpora/tess.py", PER_CORPUS["download"] | {"split", "describe", "evaluate", "export", "report"}),
        ("ser/audio/effects.py", set.union(*PER_CORPUS.values(), {"describe", "export", "report"})),
        ("ser/evaluation/metrics.py", {"leakage", "evaluate", "report"}),
        ("ser/models/trainer.py", {"train_lstm", *BASELINES, "export"}),
    ],
)
def test_changed_code_reruns_its_stages(project: Project, file: str, stages: set[str]) -> None:
    """DVC reruns the stages that import a changed package (except training, which reads features), and no other."""
    with (project.folder / file).open("a") as source:
        source.write("# changed\n")
    assert project.changed() == stages


def test_temporary_experiment_is_recorded_in_the_project(project: Project) -> None:
    """`dvc exp run --temp` records its runs, with its name, in the project's own MLflow store."""
    before = recorded_models(project)
    settings = ("-S", "evaluate.n_resamples=150", "-S", "baselines=[decision_tree]")  # retrains nothing
    project.dvc("exp", "run", "--temp", "-n", "shorter", *settings)
    assert recorded_models(project) == sorted([*before, "leaderboard", "lstm", "decision_tree"])
    assert query(project, "select value from tags where key = 'dvc_exp_name'") == [("shorter",)] * 3
    root = (project.folder / "mlartifacts").as_uri()
    assert all(root in uri for (uri,) in query(project, "select artifact_uri from runs"))


def test_failing_stage_keeps_earlier_outputs(project: Project) -> None:
    """A misspelt key is an error without traceback and a failed run; `dvc checkout` restores the outputs."""
    project.change(lambda params: params["augment"].update(copies_per_clips=1) or params)
    failed = project.run(sys.executable, "-m", "dvc", "repro", check=False)
    assert failed.returncode != 0
    assert "augment.copies_per_clips" in failed.stderr
    assert "Traceback" not in failed.stderr
    [(error,)] = query(project, "select value from tags where key = 'error'")
    assert "augment.copies_per_clips" in error
    sql = "select status from runs where run_uuid in (select run_uuid from tags where key = 'error')"
    assert query(project, sql) == [("FAILED",)]
    project.git("checkout", "-q", "--", ".")
    project.dvc("checkout")
    assert UP_TO_DATE in project.dvc("repro", *RESULTS)
