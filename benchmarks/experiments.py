"""Run experiments in every way that DVC has, and compare what MLflow holds with what DVC shows.

    python -m benchmarks.experiments FOLDER

clones the project as committed into FOLDER, which must not exist, builds the demo corpus with small models there
(minutes), and runs six experiments: one in the workspace, four from a queue with two workers, of which one comes
wholly from the cache and one fails, and one beside the workspace. It ends with what MLflow holds, or with the first
difference.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ser import paths
from ser.tracking.mlflow_runs import flatten
from ser.tracking.store import configure

ROOT = Path(__file__).parents[1]
SMALL: dict[str, Any] = {
    "baselines": ["knn", "decision_tree"],
    "augment": {"augmentations": ["noise"]},
    "features": {"frame_features": ["mel", "rms"]},
    "train_lstm": {"spectral_features": ["mel"], "epochs": 1, "lstm_units": 16, "conv_filters": [8, 8]},
    "leakage": {"n_estimators": 5},
    "evaluate": {"n_resamples": 100},
}
QUEUED = {
    "judged": ["-S", "evaluate.n_resamples=120"],
    "smaller": ["-S", "baselines=[knn]"],
    "cached": ["-S", "evaluate.n_resamples=100"],
    "failing": ["-S", "train_lstm.lstm_units=0"],
}
SUCCEED = {"here": ["knn", "decision_tree"], "judged": ["knn", "decision_tree"], "smaller": ["knn"]}
SUCCEED |= {name: ["knn", "decision_tree"] for name in ("cached", "beside")}


def main(folder: Annotated[Path, typer.Argument(help="Where to clone to.")]) -> None:
    """Run experiments in every way that DVC has, and compare what MLflow holds with what DVC shows."""
    configure()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    os.chdir(folder)
    build()
    run_all()
    dvc("repro")  # everything is as committed: nothing is to be recorded
    compare(shown(), recorded(folder))


def build() -> None:
    """Shrink the settings, build, and commit, since experiments start from a commit."""
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for name, section in SMALL.items():
        settings[name] = settings[name] | section if isinstance(section, dict) else section
    Path("params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    dvc("repro")
    git("add", "-A")
    git("commit", "-q", "-m", "small")


def run_all() -> None:
    """Run six experiments."""
    dvc("exp", "run", "-n", "here", "-S", "evaluate.n_resamples=110")
    git("checkout", "-q", "HEAD", "--", ".")
    dvc("checkout")
    for name, changes in QUEUED.items():
        dvc("exp", "run", "--queue", "-n", name, *changes)
    dvc("queue", "start", "-j", "2")
    dvc("exp", "run", "--temp", "-n", "beside", "-S", "train_lstm.lstm_units=8")
    while any(word in dvc("queue", "status") for word in ("Queued", "Running")):
        time.sleep(3)


def dvc(*arguments: str) -> str:
    """Run DVC with this Python's folder on the path, as in an active environment: a queue's workers need it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    typer.echo(f"dvc {' '.join(arguments)}") if arguments != ("queue", "status") else None
    return said(sys.executable, "-m", "dvc", *arguments, PATH=path)


def git(*arguments: str) -> str:
    """Run Git."""
    return said("git", "-c", "user.name=experiments", "-c", "user.email=experiments@localhost", *arguments)


def said(*command: str, **environment: str) -> str:
    """Run a command and take what it says; end with that if it fails."""
    with tempfile.TemporaryFile("w+") as words:  # and no pipe, which a queue's workers would keep open
        done = subprocess.run(command, env=os.environ | environment, stdout=words, stderr=words, check=False)
        words.seek(0)
        text = words.read()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{text}")
    return text


def shown() -> dict[str, Any]:
    """Collect what `dvc exp show` says: {experiment: its data}, the commit under its first letters."""
    text = dvc("exp", "show", "--json")
    [commit] = [state for state in json.loads(text[text.index("[") :]) if state["rev"] != "workspace"]
    found = {f"workspace {commit['rev'][:7]}": commit["data"]}
    found |= {experiment["name"]: experiment["revs"][0]["data"] for experiment in commit["experiments"] or []}
    return {name: data for name, data in found.items() if data and data.get("metrics")}


def recorded(folder: Path) -> list[Any]:
    """Collect the runs that MLflow holds."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.resolve() / 'mlflow.db'}")
    return list(client.search_runs([client.get_experiment_by_name("speech-emotion").experiment_id]))


def compare(experiments: dict[str, Any], runs: list[Any]) -> None:
    """Check that MLflow holds each experiment once, with a child a model and DVC's numbers, and one failure."""
    parents = {run.info.run_name: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    first = next(name for name in parents if name.startswith("workspace"))  # recorded at the commit before
    expected = {name: ["lstm", *baselines] for name, baselines in SUCCEED.items()} | {
        first: ["lstm", *SMALL["baselines"]]
    }
    same(sorted(run.info.run_name for run in runs if run not in children), sorted([*expected, "failing"]), "parents")
    same({name for name, run in parents.items() if run.info.status == "FAILED"}, {"failing"}, "failed")
    committed = next(data for name, data in experiments.items() if name.startswith("workspace"))
    for name, models in expected.items():
        own = {
            run.data.tags["model"]: run
            for run in children
            if run.data.tags["mlflow.parentRunId"] == parents[name].info.run_id
        }
        same(sorted(own), sorted(models), f"models of {name}")
        compare_numbers(name, experiments.get(name, committed), own)
    typer.echo(
        f"{len(parents)} experiments, of which 1 failed, and {len(children)} models: MLflow holds what DVC shows"
    )
    typer.echo(f"the failure: {parents['failing'].data.tags['error']}")


def compare_numbers(name: str, data: dict[str, Any], runs: dict[str, Any]) -> None:
    """Check that each model has all of DVC's metrics and settings, and no other but curves."""
    metrics = data["metrics"][str(paths.METRICS)]["data"]
    settings = {key: str(value) for key, value in flatten(data["params"]["params.yaml"]["data"]).items()}
    for model, run in runs.items():
        numbers = {key: value for key, value in run.data.metrics.items() if not key.startswith("epoch.")}
        same(numbers, flatten(metrics[model]), f"metrics of {name}, {model}")
        same(run.data.params, settings, f"settings of {name}, {model}")
    typer.echo(f"{name}: {len(runs)} models, {sum(len(run.data.metrics) for run in runs.values())} metrics")


def same(found: Any, expected: Any, what: str) -> None:
    """End with both sides where they differ."""
    if found != expected:
        raise SystemExit(f"{what}: MLflow has\n{found}\nand not\n{expected}")


if __name__ == "__main__":
    typer.run(main)
