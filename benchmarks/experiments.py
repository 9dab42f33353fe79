"""Run DVC experiments in every way that DVC has, and compare the content of MLflow with `dvc exp show`.

    python -m benchmarks.experiments FOLDER

This clones the committed project into FOLDER, which must not exist, builds it with small models (minutes), and runs six
experiments: one in the workspace, four from a queue with two workers (one from the cache, one failing), and one in a
temporary folder. It ends at the first difference.
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
from ser.tracking.mlflow_runs import connect, flatten

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
    "evaluated": ["-S", "evaluate.n_resamples=120"],
    "smaller": ["-S", "baselines=[knn]"],
    "cached": ["-S", "evaluate.n_resamples=100"],
    "failing": ["-S", "train_lstm.lstm_units=0"],
}
ALL_MODELS = ["lstm", *SMALL["baselines"]]
MODELS = dict.fromkeys(("workspace-run", "evaluated", "cached", "temporary"), ALL_MODELS)
MODELS |= {"smaller": ["lstm", "knn"]}
"""Models of the experiments that succeed."""


def main(folder: Annotated[Path, typer.Argument(help="Folder of the clone.")]) -> None:
    """Run DVC experiments in every way that DVC has, and compare the content of MLflow with `dvc exp show`."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    os.chdir(folder)
    build()
    run_experiments()
    dvc("repro")  # unchanged, so nothing is recorded
    client = connect()
    compare(shown(), list(client.search_runs([client.get_experiment_by_name("speech-emotion").experiment_id])))


def build() -> None:
    """Reduce the settings, build and commit, since experiments start from a commit."""
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for name, section in SMALL.items():
        settings[name] = settings[name] | section if isinstance(section, dict) else section
    Path("params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    dvc("repro")
    author = ("-c", "user.name=experiments", "-c", "user.email=experiments@localhost")
    run("git", "add", "-A")
    run("git", *author, "commit", "-q", "-m", "small")


def run_experiments() -> None:
    """Run six experiments."""
    dvc("exp", "run", "-n", "workspace-run", "-S", "evaluate.n_resamples=110")
    run("git", "checkout", "-q", "HEAD", "--", ".")
    dvc("checkout")
    for name, changes in QUEUED.items():
        dvc("exp", "run", "--queue", "-n", name, *changes)
    dvc("queue", "start", "-j", "2")
    dvc("exp", "run", "--temp", "-n", "temporary", "-S", "train_lstm.lstm_units=8")
    while any(state in dvc("queue", "status") for state in ("Queued", "Running")):
        time.sleep(3)


def dvc(*arguments: str) -> str:
    """Run DVC with the folder of this Python on the path, which the workers of a queue need."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if arguments != ("queue", "status"):
        typer.echo(f"dvc {' '.join(arguments)}")
    return run(sys.executable, "-m", "dvc", *arguments, PATH=path)


def run(*command: str, **environment: str) -> str:
    """Run a command and return its output; exit with the output if it fails."""
    with tempfile.TemporaryFile("w+") as output:  # the workers of a queue would keep a pipe open
        done = subprocess.run(command, env=os.environ | environment, stdout=output, stderr=output, check=False)
        output.seek(0)
        text = output.read()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{text}")
    return text


def shown() -> dict[str, Any]:
    """Read `dvc exp show`: {experiment: its data}; the key of the commit is ``workspace`` and its abbreviated hash."""
    text = dvc("exp", "show", "--json")
    [commit] = [state for state in json.loads(text[text.index("[") :]) if state["rev"] != "workspace"]
    experiments = {f"workspace {commit['rev'][:7]}": commit["data"]}
    experiments |= {experiment["name"]: experiment["revs"][0]["data"] for experiment in commit["experiments"] or []}
    return {name: data for name, data in experiments.items() if data and data.get("metrics")}


def compare(experiments: dict[str, Any], runs: list[Any]) -> None:
    """Check that MLflow has each experiment once, with a nested run per model and DVC's numbers, and one failure."""
    parents = {run.info.run_name: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    first = next(name for name in parents if name.startswith("workspace "))  # recorded at the previous commit
    expected = MODELS | {first: ALL_MODELS}
    check_equal(sorted(parents), sorted([*expected, "failing"]), "experiments")
    check_equal(len(runs) - len(nested), len(parents), "number of experiments")
    check_equal([name for name, run in parents.items() if run.info.status == "FAILED"], ["failing"], "failed")
    committed = next(data for name, data in experiments.items() if name.startswith("workspace "))
    for name, models in expected.items():
        run_id = parents[name].info.run_id
        group = {run.data.tags["model"]: run for run in nested if run.data.tags["mlflow.parentRunId"] == run_id}
        check_equal(sorted(group), sorted(models), f"models of {name}")
        compare_numbers(name, experiments.get(name, committed), group)
    typer.echo(f"{len(parents)} experiments (1 failed) and {len(nested)} models: MLflow and DVC agree")
    typer.echo(f"error of the failed experiment: {parents['failing'].data.tags['error']}")


def compare_numbers(name: str, data: dict[str, Any], runs: dict[str, Any]) -> None:
    """Check that each model has exactly DVC's settings and metrics, besides its history."""
    metrics = data["metrics"][str(paths.METRICS)]["data"]
    settings = {key: str(value) for key, value in flatten(data["params"]["params.yaml"]["data"]).items()}
    for model, run in runs.items():
        numbers = {key: value for key, value in run.data.metrics.items() if not key.startswith("epoch.")}
        check_equal(numbers, flatten(metrics[model]), f"metrics of {name}, {model}")
        check_equal(run.data.params, settings, f"settings of {name}, {model}")
    typer.echo(f"{name}: {len(runs)} models, {sum(len(run.data.metrics) for run in runs.values())} metrics")


def check_equal(actual: Any, expected: Any, name: str) -> None:
    """Exit with both values if they differ."""
    if actual != expected:
        raise SystemExit(f"{name}: MLflow has\n{actual}\nexpected\n{expected}")


if __name__ == "__main__":
    typer.run(main)
