"""A result is rebuilt from nothing but Git, and what is identical and what differs is said file by file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
import yaml

from ser import paths
from ser.reproduce import diff, rebuild
from ser.tracking import mlflow_runs
from ser.tracking.mlflow_runs import RunInfo, find_run
from ser.utils.errors import UserError
from stages import reproduce

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, pathlib, sys, yaml
stage, outside = sys.argv[1:]
settings = yaml.safe_load(pathlib.Path("params.yaml").read_text())
weather = pathlib.Path(outside).read_text()
if stage == "record":
    pathlib.Path("data/raw.txt").write_text("as recorded")
    pathlib.Path("runs.txt").open("a").write("record ")
else:
    raw = pathlib.Path("data/raw.txt").read_text()
    folder = pathlib.Path("models/exported/lstm")
    folder.mkdir(parents=True)
    (folder / "weights").write_text(raw + weather)
    (folder / "classes").write_text("happy sad")
    uar = settings["train"]["units"] / 100 + float(weather)
    pathlib.Path("metrics").mkdir(exist_ok=True)
    pathlib.Path("metrics/metrics.json").write_text(json.dumps({"lstm": {"test": {"uar": uar, "clips": 64}}}))
"""


class Repository:
    """A pipeline of two stages, the second of which depends on something that nobody declared."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outside = folder / "project", folder / "weather"
        self.folder.mkdir()
        self.outside.write_text("0.0")
        (self.folder / "stage.py").write_text(SCRIPT)
        (self.folder / "params.yaml").write_text(yaml.safe_dump({"train": {"units": 50}, "own": {}}))
        (self.folder / ".gitignore").write_text(
            "/data/\n/models/\n/runs.txt\n/mlflow.db*\n/mlartifacts/\n/.mlflow.lock\n"
        )
        (self.folder / "data").mkdir()
        for command in (["git", "init", "-q", "-b", "main"], self.dvc("init", "-q")):
            self.run(*command)
        (self.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": self.pipeline()}))
        self.run(*self.dvc("repro", "-q"))
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "a result")

    def pipeline(self) -> dict[str, Any]:
        command = f"mkdir -p data && {sys.executable} stage.py"
        record = {"cmd": f"{command} record {self.outside}", "outs": ["data/raw.txt"]}
        train = {
            "cmd": f"{command} train {self.outside}",
            "deps": ["data/raw.txt"],
            "params": ["train"],
            "outs": ["models/exported/lstm"],
            "metrics": [{"metrics/metrics.json": {"cache": False}}],
        }
        return {"record": record, "train": train}

    def dvc(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dvc", *arguments]

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        names = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_", "MLFLOW_"))}
        env = kept | names | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", "COLUMNS": "200"}
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def reproduce(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "stages.reproduce", *arguments, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("reproduce"))


@pytest.fixture
def weather(project: Repository) -> Any:
    """Change what nobody declared, for one test."""
    yield project.outside.write_text
    project.outside.write_text("0.0")


def rebuilt(project: Repository) -> Path:
    return project.folder / paths.REPRODUCTION


def test_a_result_that_is_the_same(project: Repository) -> None:
    """Every stage runs anew in a folder of its own, each file is compared, and the workspace stays as it is."""
    (project.folder / "runs.txt").unlink(missing_ok=True)
    done = project.reproduce("--rev", "main")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "identical           models/exported/lstm\n" in done.stdout
    assert "3 of 3 outputs are identical." in done.stdout
    assert (rebuilt(project) / "runs.txt").read_text() == "record "
    assert not (project.folder / "runs.txt").exists()
    assert project.run("git", "status", "--short").stdout == ""


def test_a_result_that_differs(project: Repository, weather: Any) -> None:
    """Of a folder the files that differ are named, of metrics the numbers, and the exit code is 1."""
    weather("0.25")
    done = project.reproduce("--rev", "main")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "differs             metrics/metrics.json" in lines
    assert "differs             models/exported/lstm/weights" in lines
    assert "identical           models/exported/lstm/classes" in lines
    assert "2 of 4 outputs are identical." in lines
    assert "metrics/metrics.json: 1 numbers differ" in lines
    assert any(line.split() == ["lstm.test.uar", "0.5000", "0.7500", "0.2500"] for line in lines)


@pytest.mark.parametrize("limit", [["--stage", "train"], ["--keep", "record"]])
def test_some_stages_only(project: Repository, limit: list[str]) -> None:
    """What is not rebuilt comes from the cache here, and is not compared."""
    done = project.reproduce("--rev", "main", *limit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 outputs are identical." in done.stdout
    assert not (rebuilt(project) / "runs.txt").exists()


def test_what_the_cache_lacks(project: Repository) -> None:
    """A stage whose input is nowhere cannot be rebuilt alone, and the message says what to do."""
    cache = project.folder / ".dvc" / "cache"
    cache.rename(cache.with_name("away"))
    done = project.reproduce("--rev", "main", "--stage", "train")
    cache.with_name("away").rename(cache)
    assert done.returncode == 2
    assert "rebuild the stages that make it too, or `dvc pull` it first" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name one of --rev and --run"),
        (["--rev", "main", "--run", "abc"], "name one of --rev and --run"),
        (["--rev", "nowhere"], "revision 'nowhere' is unknown here"),
    ],
)
def test_what_cannot_be_asked(project: Repository, arguments: list[str], said: str) -> None:
    """Exit code 2 and one sentence."""
    done = project.reproduce(*arguments)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_stages_are_chosen() -> None:
    """By name or by group, in the order of dvc.yaml; an unknown one, or none at all, ends in a sentence."""
    listed = ["download@a", "download@b", "train", "evaluate"]
    assert rebuild._select(listed, [], ["download"]) == ["train", "evaluate"]
    assert rebuild._select(listed, ["evaluate", "download@b"], []) == ["download@b", "evaluate"]
    with pytest.raises(UserError, match=r"stage 'trian' is not in dvc.yaml of this commit; it has download@a, "):
        rebuild._select(listed, ["trian"], [])
    with pytest.raises(UserError, match="no stage is left to rebuild"):
        rebuild._select(listed, ["train"], ["train"])


# A run of MLflow ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(project: Repository) -> dict[str, str]:
    """Record runs of the commit: as committed, with other settings, one of 60 units that says it had 0.9, and none."""
    commit = project.run("git", "rev-parse", "HEAD").stdout.strip()
    ids = {}
    with pytest.MonkeyPatch.context() as patch:
        enter(project, patch)
        client = mlflow_runs.connect()
        experiment = mlflow_runs._experiment(client, "speech")
        for name, units, uar in (("committed", 50, 0.5), ("changed", 60, 0.6), ("boasted", 60, 0.9)):
            tags = {"git_revision": commit, "model": "lstm"}
            ids[name] = client.create_run(experiment, tags=tags).info.run_id
            run = mlflow_runs.Run(name, params={"train.units": units}, metrics={"test.uar": uar, "epoch.loss": 3})
            mlflow_runs._fill(client, ids[name], run)
        ids["kept"] = client.create_run(experiment, tags=tags | {"mlflow.parentRunId": ids["changed"]}).info.run_id
        client.log_text(ids["changed"], "train: {units: 60}\n", "params.yaml")
        ids["foreign"] = client.create_run(experiment).info.run_id
    return ids


def enter(project: Repository, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(project.folder)
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        patch.delenv(name, raising=False)


@pytest.mark.parametrize(("run", "code"), [("committed", 0), ("changed", 0), ("boasted", 1)])
def test_a_run(
    project: Repository,
    runs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    run: str,
    code: int,
) -> None:
    """A run's own settings are laid over its commit, and its metrics compared; outputs too if settings match."""
    enter(project, monkeypatch)
    with pytest.raises(typer.Exit) as ended:
        reproduce.main(run=runs[run], folder=paths.REPRODUCTION)
    said = capsys.readouterr().out
    assert ended.value.exit_code == code
    assert ("3 of 3 outputs are identical" in said) == (run == "committed")
    assert (
        f"1 metrics of lstm that the run recorded: {'1 numbers differ' if code else 'every number is the same'}" in said
    )
    units = yaml.safe_load((rebuilt(project) / "params.yaml").read_text())["train"]["units"]
    assert units == (50 if run == "committed" else 60)


def test_what_a_run_says(project: Repository, runs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit, settings and metrics; a model's run may leave its settings to its parent."""
    enter(project, monkeypatch)
    found = find_run(runs["kept"])
    assert found.settings == "train: {units: 60}\n"
    assert find_run(runs["boasted"]).settings is None
    assert find_run(runs["boasted"]).params == {"train.units": "60"}
    assert find_run(runs["boasted"]).metrics == {"test.uar": 0.9, "epoch.loss": 3}
    with pytest.raises(UserError, match="has no run 'abc'"):
        find_run("abc")
    with pytest.raises(UserError, match="has no tag git_revision"):
        find_run(runs["foreign"])


def test_settings_of_a_run() -> None:
    """Text becomes what it was; a recorded file takes the place of whole sections; the rest is the commit's."""
    committed = {
        "seed": 1,
        "train": {"units": 50, "inputs": ["mel"], "patience": 3, "merge": {}},
        "check": {"alpha": 1},
    }
    params = {"seed": "2", "train.units": "60", "train.inputs": "['mel', 'mfcc']", "train.patience": "None"}
    flat = RunInfo("c", "lstm", None, params | {"best_model": "lstm"}, {})
    train = {"units": 60, "inputs": ["mel", "mfcc"], "patience": None, "merge": {}}
    assert rebuild.recorded_settings(flat, committed) == {"seed": 2, "train": train, "check": {"alpha": 1}}
    assert committed["seed"] == 1
    text = RunInfo("c", "lstm", "train: {units: 60}\n", params, {})
    assert rebuild.recorded_settings(text, committed) == committed | {"train": {"units": 60}}


def test_recordings_beside_the_project_are_found(project: Repository, tmp_path: Path) -> None:
    """A folder that settings name relative to the project is there in the rebuild, and nothing else is."""
    settings = {"download": {"local_dir": "corpora"}, "own": {"mine": {"folder": "/elsewhere", "labels": None}}}
    (project.folder / "corpora").mkdir()
    rebuild.prepare("main", tmp_path / "clone", settings=settings, root=project.folder)
    (project.folder / "corpora").rmdir()
    assert (tmp_path / "clone" / "corpora").is_symlink()
    assert yaml.safe_load((tmp_path / "clone" / "params.yaml").read_text()) == settings


# Tables ---------------------------------------------------------------------------------------------------------------


def test_hashes_are_compared() -> None:
    """Each output is identical, differs, was not made again, or is new."""
    found = diff.compare_hashes({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"})
    expected = [diff.IDENTICAL, diff.CHANGED, diff.REMOVED, diff.ADDED]
    assert found.verdict.to_list() == expected
    assert diff.format_diff(found, {}).endswith("1 of 4 outputs are identical.")


def test_numbers_are_compared() -> None:
    """Those that differ are listed, the ones without a partner first, then by the size of the change."""
    found = diff.compare_numbers({"a": 1, "b": 2, "c": 3, "gone": 1}, {"a": 1, "b": 2.5, "c": 1})
    assert found.number.to_list() == ["gone", "c", "b"]
    assert found.change.to_list()[1:] == [-2, 0.5]
    many = diff.compare_numbers({str(n): n for n in range(1, 31)}, {str(n): 0 for n in range(1, 31)})
    assert "x: 30 numbers differ" in diff.format_diff(pd.DataFrame(columns=["path", "verdict"]), {"x": many})
    assert "and 10 more" in diff.format_diff(pd.DataFrame(columns=["path", "verdict"]), {"x": many})


def test_metrics_of_another_model(tmp_path: Path) -> None:
    """A run of a model that was not rebuilt cannot be compared, and the message lists those that were."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "metrics.json").write_text(json.dumps({"svm": {"test": {"uar": 0.5}}}))
    with pytest.raises(UserError, match="no metric of 'lstm' in common, found svm there"):
        rebuild.compare_run(RunInfo("c", "lstm", None, {}, {"test_uar": 0.5}), tmp_path)
