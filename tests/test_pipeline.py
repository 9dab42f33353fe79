"""The whole pipeline as users run it: `dvc repro` and `dvc exp run` in a project of its own, on a tiny corpus."""

import json
import sqlite3
import sys
from collections.abc import Iterator

import pandas as pd
import pytest

from ser import load
from tests.helpers.dvc_project import Project

UP_TO_DATE = "Data and pipelines are up to date"
RESULTS = ("describe", "export", "report")
"""What all stages but `record`, which always runs, lead to."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    project.output = project.dvc("repro", SER_WORKERS="1")
    project.commit("result")
    return project


@pytest.fixture
def untouched(project: Project) -> Iterator[Project]:
    """Lend the project to a test that edits it, and put it back."""
    yield project
    project.git("checkout", "-q", "--", ".")


def test_every_stage_leaves_what_it_promises(project: Project) -> None:
    """`dvc repro` ends with metrics of every model, a leaderboard, matrices, models and a run of each in MLflow."""
    metrics = json.loads((project.folder / "metrics/metrics.json").read_text())
    assert set(metrics) == {"lstm", "svm", "decision_tree"}
    assert all(0 <= splits[split]["uar"] <= 1 for splits in metrics.values() for split in ("val", "test"))
    assert "# Leaderboard" in project.output
    assert "reports/confusion" in project.output
    for name in (
        "leaderboard.csv",
        "leaderboard.md",
        "pairwise_tests.csv",
        "confusion/lstm_test.png",
        "confusion/svm_test.csv",
        "history.png",
    ):
        assert (project.folder / "reports" / name).stat().st_size > 0
    for seed in (1, 2):
        member = f"fold1_seed{seed}"
        for name in (
            f"lstm/{member}/model.keras",
            f"lstm/{member}/architecture.json",
            f"lstm/{member}/model.weights.h5",
            f"svm/{member}/model.skops",
        ):
            assert (project.folder / "models/checkpoints" / name).stat().st_size > 0
    assert list((project.folder / "models/checkpoints").glob("**/*unfinished*")) == []
    for model in ("lstm", "svm", "decision_tree"):
        assert [member.name for member in load(project.folder / "models/exported" / model).card.members] == [
            "fold1_seed1",
            "fold1_seed2",
        ]
    assert models_in_mlflow(project) == ["decision_tree", "leaderboard", "lstm", "svm"]


def models_in_mlflow(project: Project) -> list[str]:
    with sqlite3.connect(project.folder / "mlflow.db") as store:
        return sorted(value for (value,) in store.execute("select value from tags where key = 'model'"))


def test_no_test_or_validation_voice_is_trained_on(project: Project) -> None:
    """Across the real tables: test speakers are in no other split, and predictions hold originals and corruptions."""
    splits = pd.read_csv(project.folder / "data/splits.csv")
    clips = pd.read_parquet(
        project.folder / "data/features/frames", columns=["clip_id", "speaker", "original_id", "augmentation"]
    )
    speakers = splits.merge(clips, on="clip_id").groupby("split").speaker.agg(set)
    assert not speakers["test"] & (speakers["train"] | speakers["val"])
    predictions = pd.read_parquet(project.folder / "data/predictions/lstm.parquet")
    assert set(predictions.split) == {"val", "test"}
    assert set(predictions.augmentation) == {
        "",
        "robustness_noise_10db",
        "robustness_level_-12db",
        "robustness_level_12db",
    }
    assert set(predictions.split[predictions.augmentation != ""]) == {"test"}
    assert set(predictions.original_id) == set(splits.clip_id[splits.split != "train"])


def test_a_second_repro_does_nothing(project: Project) -> None:
    """What is built stays built, what is recorded is not recorded again, and dvc.lock stays as it is."""
    assert UP_TO_DATE in project.dvc("repro", *RESULTS)
    before = models_in_mlflow(project), project.lock()
    assert "has this result already" in project.dvc("repro")
    assert (models_in_mlflow(project), project.lock()) == before


def test_rebuilding_gives_the_same_bytes_on_any_number_of_workers(project: Project) -> None:
    """`dvc repro -f`, with two workers instead of one, leaves dvc.lock, pictures and models as they were."""
    before = project.lock()
    project.dvc("repro", "-f", SER_WORKERS="2")
    assert project.lock() == before
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("edit", "stages"),
    [
        (lambda p: p["train_baselines"]["grids"]["svm"].update(C=[2]), {"train_baselines@svm", "report"}),
        (lambda p: p["train_lstm"].update(lstm_units=4), {"train_lstm", "evaluate", "export", "report"}),
        (
            lambda p: p.update(model_seeds=[1]),
            {"train_lstm", "train_baselines@svm", "train_baselines@decision_tree", "report"},
        ),
        (
            lambda p: p["features"]["mfcc"].update(delta_order=1),
            {"featurize@ravdess", "featurize@tess", "describe", "export", "report"},
        ),
        (lambda p: p["augment"].update(copies_per_clip=2), {"augment@ravdess", "augment@tess", "report"}),
        (lambda p: p["split"].update(val_fraction=0.3), {"split", "evaluate", "export", "report"}),
    ],
)
def test_a_setting_reruns_only_what_reads_it(untouched: Project, edit, stages: set[str]) -> None:
    """DVC sees a changed setting in the stages that read it (report reads all), and in no other."""
    untouched.change(lambda params: edit(params) or params)
    assert untouched.changed() == stages


CORPORA = ("ravdess", "tess")


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        (
            "ser/corpora/tess.py",
            {"download@ravdess", "download@tess", "split", "describe", "evaluate", "export", "report"},
        ),
        (
            "ser/audio/effects.py",  # and no training, unless the features change
            {
                *(
                    f"{stage}@{corpus}"
                    for stage in ("download", "preprocess", "augment", "featurize")
                    for corpus in CORPORA
                ),
                *("describe", "export", "report"),
            },
        ),
        ("ser/evaluation/metrics.py", {"leakage", "evaluate", "report"}),
        ("ser/models/trainer.py", {"train_lstm", "train_baselines@svm", "train_baselines@decision_tree", "export"}),
    ],
)
def test_code_reruns_only_what_imports_it(untouched: Project, file: str, stages: set[str]) -> None:
    """DVC sees changed code in the stages that import it, and in no other."""
    with (untouched.folder / file).open("a") as source:
        source.write("# changed\n")
    assert untouched.changed() == stages


def test_a_temporary_experiment_is_recorded_in_the_project(untouched: Project) -> None:
    """`dvc exp run --temp` leaves its runs, with its name, in the project's own MLflow store."""
    before = models_in_mlflow(untouched)
    settings = ("-S", "evaluate.n_resamples=150", "-S", "baselines=[decision_tree]")  # nothing has to be trained again
    untouched.dvc("exp", "run", "--temp", "-n", "shorter", *settings)
    assert sorted([*before, "leaderboard", "lstm", "decision_tree"]) == models_in_mlflow(untouched)
    with sqlite3.connect(untouched.folder / "mlflow.db") as store:
        names = [value for (value,) in store.execute("select value from tags where key = 'dvc_exp_name'")]
        places = [place for (place,) in store.execute("select artifact_uri from runs")]
    assert names == ["shorter"] * 3
    assert all((untouched.folder / "mlartifacts").as_uri() in place for place in places)


def test_a_failing_stage_says_why_in_one_sentence_and_loses_nothing(untouched: Project) -> None:
    """A misspelt key names itself, and `dvc checkout` brings back what was built before."""
    untouched.change(lambda params: params["augment"].update(copies_per_clips=1) or params)
    failed = untouched.run(sys.executable, "-m", "dvc", "repro", check=False)
    assert failed.returncode != 0
    assert "augment.copies_per_clips is not a known key; did you mean copies_per_clip?" in failed.stderr
    assert "Traceback" not in failed.stderr
    with sqlite3.connect(untouched.folder / "mlflow.db") as store:
        [(run, error)] = store.execute("select run_uuid, value from tags where key = 'error'").fetchall()
        assert store.execute("select status from runs where run_uuid = ?", [run]).fetchone() == ("FAILED",)
    assert "augment.copies_per_clips is not a known key" in error
    untouched.git("checkout", "-q", "--", ".")
    untouched.dvc("checkout")
    assert UP_TO_DATE in untouched.dvc("repro", *RESULTS)
