"""The whole pipeline as users run it: `dvc repro` and `dvc exp run` in a project of its own, on a tiny corpus."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = ["dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", "ser", "stages"]
RATE = 16000
UP_TO_DATE = "Data and pipelines are up to date"


def voice(*, f0: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Make something voiced: a few harmonics and a little noise."""
    t = np.arange(int(RATE * seconds)) / RATE
    harmonics = sum(np.sin(2 * np.pi * f0 * n * t) / n for n in range(1, 6))
    return 0.2 * np.hanning(len(t)) * harmonics + 0.001 * rng.standard_normal(len(t))


def write_corpora(folder: Path) -> None:
    """Write a small RAVDESS (5 actors, 4 emotions) and a small TESS (2 speakers, 4 emotions, 6 words)."""
    rng = np.random.default_rng(0)
    for actor in range(1, 6):
        for n, emotion in enumerate(("01", "03", "04", "05")):
            for text in ("01", "02"):
                path = folder / "ravdess" / f"Actor_{actor:02}" / f"03-01-{emotion}-01-{text}-01-{actor:02}.wav"
                write(path, voice(f0=100 + 10 * actor + 40 * n, seconds=0.7, rng=rng))
    for speaker in ("OAF", "YAF"):
        for n, emotion in enumerate(("neutral", "happy", "sad", "angry")):
            for word in ("back", "bar", "base", "bath", "bean", "beg"):
                path = folder / "tess" / f"{speaker}_{emotion}" / f"{speaker}_{word}_{emotion}.wav"
                write(path, voice(f0=150 + 30 * n, seconds=0.6, rng=rng))


def write(path: Path, signal: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, signal, RATE)


def tiny(params: dict) -> dict:
    """Shrink the settings to what a test can wait for."""
    params["corpora"] = ["ravdess", "tess"]
    params["baselines"] = ["svm", "decision_tree"]
    params["download"] |= {"local_dir": "corpora", "allow_partial": True}
    params["preprocess"]["min_seconds"] = 0.2
    params["features"]["frames"] = ["mfcc", "rms"]
    params["split"] |= {"test": 0.2, "val": 0.2}
    params["train_lstm"] |= {"epochs": 2, "convolutions": [8, 8], "units": 8, "dense": 8}
    params["train_baselines"]["folds"] = 2
    params["train_baselines"]["grids"]["svm"] = {"C": [1, 10]}
    return params


class Project:
    """A copy of this project with its own Git and DVC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in PROJECT:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            copy(ROOT / name, folder / name)
        self.change(tiny)
        with (folder / ".gitignore").open("a") as file:
            file.write("/corpora/\n")
        write_corpora(folder / "corpora")
        self.git("init", "-q", "-b", "main")
        self.commit("start")

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "SER_", "MLFLOW_", "GIT_"))
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        names = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return kept | names | {"PATH": path, "CI": "true", "DVC_NO_ANALYTICS": "1"} | more

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(**environment), capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def dvc(self, *arguments: str, **environment: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, **environment).stdout

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).stdout

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def change(self, edit) -> None:
        path = self.folder / "params.yaml"
        path.write_text(yaml.safe_dump(edit(yaml.safe_load(path.read_text())), sort_keys=False))

    def lock(self) -> str:
        return (self.folder / "dvc.lock").read_text()

    def changed(self) -> set[str]:
        """Name the stages that `dvc status` says have changed settings, code or inputs."""
        return set(json.loads(self.dvc("status", "--json")))


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
    assert all(0 <= parts[part]["uar"] <= 1 for parts in metrics.values() for part in ("val", "test"))
    assert "# Leaderboard" in project.output
    assert "reports/confusion" in project.output
    for name in (
        "leaderboard.csv",
        "leaderboard.md",
        "confusion/lstm_test.png",
        "confusion/svm_test.csv",
        "history.png",
    ):
        assert (project.folder / "reports" / name).stat().st_size > 0
    for name in ("lstm/model.keras", "lstm/architecture.json", "lstm/model.weights.h5", "svm/model.skops"):
        assert (project.folder / "models" / name).stat().st_size > 0
    assert models_in_mlflow(project) == ["decision_tree", "leaderboard", "lstm", "svm"]


def models_in_mlflow(project: Project) -> list[str]:
    with sqlite3.connect(project.folder / "mlflow.db") as store:
        return sorted(value for (value,) in store.execute("select value from tags where key = 'model'"))


def test_no_test_or_validation_voice_is_trained_on(project: Project) -> None:
    """Across the real tables: test speakers are in no other part, and predictions hold originals only."""
    splits = pd.read_csv(project.folder / "data/splits.csv")
    clips = pd.read_parquet(project.folder / "data/frames", columns=["clip_id", "speaker", "source", "augmentation"])
    parts = splits.merge(clips, on="clip_id").groupby("part").speaker.agg(set)
    assert not parts["test"] & (parts["train"] | parts["val"])
    predictions = pd.read_parquet(project.folder / "data/predictions/lstm.parquet")
    assert set(predictions.part) == {"val", "test"}
    assert (predictions.augmentation == "").all()
    assert set(predictions.clip_id) == set(splits.clip_id[splits.part != "train"])


def test_a_second_repro_does_nothing(project: Project) -> None:
    """What is built stays built."""
    assert UP_TO_DATE in project.dvc("repro")


def test_rebuilding_gives_the_same_bytes_on_any_number_of_workers(project: Project) -> None:
    """`dvc repro -f`, with two workers instead of one, leaves dvc.lock, pictures and models as they were."""
    before = project.lock()
    project.dvc("repro", "-f", SER_WORKERS="2")
    assert project.lock() == before
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("edit", "stages"),
    [
        (lambda p: p["train_baselines"]["grids"]["svm"].update(C=[2]), {"train_baselines@svm", "evaluate"}),
        (lambda p: p["train_lstm"].update(units=4), {"train_lstm", "evaluate"}),
        (lambda p: p["features"]["mfcc"].update(deltas=1), {"featurize@ravdess", "featurize@tess", "evaluate"}),
        (lambda p: p["augment"].update(copies=2), {"augment@ravdess", "augment@tess", "evaluate"}),
        (lambda p: p["split"].update(val=0.3), {"split", "evaluate"}),
    ],
)
def test_a_setting_reruns_only_what_reads_it(untouched: Project, edit, stages: set[str]) -> None:
    """DVC sees a changed setting in the stages that read it (evaluate records them all), and in no other."""
    untouched.change(lambda params: edit(params) or params)
    assert untouched.changed() == stages


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("ser/corpora/tess.py", {"download@ravdess", "download@tess", "preprocess@tess", "evaluate"}),
        ("ser/metrics.py", {"evaluate"}),
        ("ser/lstm.py", {"train_lstm"}),
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
    untouched.dvc(
        "exp", "run", "--temp", "-n", "shorter", "-S", "train_lstm.epochs=1", "-S", "baselines=[decision_tree]"
    )
    assert sorted([*before, "leaderboard", "lstm", "decision_tree"]) == models_in_mlflow(untouched)
    with sqlite3.connect(untouched.folder / "mlflow.db") as store:
        names = [value for (value,) in store.execute("select value from tags where key = 'dvc_exp_name'")]
        places = [place for (place,) in store.execute("select artifact_uri from runs")]
    assert names == ["shorter"] * 3
    assert all((untouched.folder / "mlartifacts").as_uri() in place for place in places)


def test_a_failing_stage_says_why_in_one_sentence_and_loses_nothing(untouched: Project) -> None:
    """A misspelt key names itself, and `dvc checkout` brings back what was built before."""
    untouched.change(lambda params: params["augment"].update(copy=1) or params)
    failed = untouched.run(sys.executable, "-m", "dvc", "repro", check=False)
    assert failed.returncode != 0
    assert "augment.copy is not a known key; did you mean copies?" in failed.stderr
    assert "Traceback" not in failed.stderr
    untouched.git("checkout", "-q", "--", ".")
    untouched.dvc("checkout")
    assert UP_TO_DATE in untouched.dvc("repro")
