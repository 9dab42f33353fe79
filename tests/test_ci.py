"""Test the workflow of continuous integration, the Makefile and the scripts, and that nothing sends telemetry."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def made_targets(commands: str) -> list[str]:
    return re.findall(r"^make ([\w./-]+)", commands, flags=re.MULTILINE)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_valid(path: Path) -> None:
    """A workflow has triggers, runners and time limits, and each step runs a command or a pinned action."""
    content = yaml.safe_load(path.read_text())
    assert content[True]  # YAML reads `on` as true
    for job in content["jobs"].values():
        assert {"runs-on", "steps", "timeout-minutes"} <= set(job)
    assert all(("run" in step) != ("uses" in step) for step in steps(path))
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps(path) if "uses" in step)


def test_workflow_and_script_run_the_same_targets() -> None:
    """The workflow and .ci/run make the same targets, which are in the Makefile."""
    in_workflow = made_targets("\n".join(step.get("run", "") for step in steps(ROOT / ".github/workflows/ci.yml")))
    targets = re.findall(r"^([\w./-]+):(?!=)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {"lint", "test", "repro", "check-metrics"} <= set(in_workflow) <= set(targets)
    in_script = made_targets((ROOT / ".ci" / "run").read_text())
    assert in_script == [name for name in in_workflow if name != ".venv/installed"]


@pytest.mark.parametrize("path", [".ci/run", ".ci/against"])
def test_scripts_are_executable(path: str) -> None:
    """Scripts are executable and valid for bash."""
    assert os.access(ROOT / path, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / path)], check=True)


def test_make_variables_become_options() -> None:
    """Each value of a variable is passed as an option, and no option without a variable."""
    command = make_dry_run("check-metrics", "AGAINST=origin/main", "ACCEPT=protocol corpora", "MARKDOWN=check.md")
    assert '--against "origin/main" --accept protocol --accept corpora --markdown "check.md"' in command
    assert make_dry_run("check-metrics").endswith('stages.check_metrics --against "main"')
    command = make_dry_run("reproduce", "REV=v1", "STAGES=evaluate")
    assert command.endswith('stages.reproduce --rev "v1" --stage evaluate')


def make_dry_run(*arguments: str) -> str:
    command = ["make", "--dry-run", "--old-file", ".venv/installed", *arguments]
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return re.sub(r"\s+", " ", done.stdout.replace("\\\n", " ")).strip()


def test_revision_to_compare_with(tmp_path: Path) -> None:
    """It is the target branch, else main, else the parent commit, else the only commit."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    options: dict[str, Any] = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}

    def git(*arguments: str) -> None:
        user = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *user, *arguments], env=env, **options)

    def against(target: str = "") -> str:
        return subprocess.run([ROOT / ".ci" / "against"], env=env | {"TARGET": target}, **options).stdout.strip()

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "one")
    assert against() == "HEAD"
    git("commit", "-q", "--allow-empty", "-m", "two")
    assert against() == "HEAD~1"
    git("branch", "release", "HEAD~1")
    git("checkout", "-q", "-b", "feature")
    git("commit", "-q", "--allow-empty", "-m", "three")
    assert [against(), against("release"), against("nowhere")] == ["main", "release", "main"]
    git("branch", "-q", "-D", "main")
    assert against() == "HEAD~1"


def test_dvc_sends_nothing() -> None:
    """DVC neither reports usage nor checks for updates."""
    config = configparser.ConfigParser()
    config.read_string(re.sub(r"^\s+", "", (ROOT / ".dvc" / "config").read_text(), flags=re.MULTILINE))
    assert (config["core"]["analytics"], config["core"]["check_update"]) == ("false", "false")


def test_mlflow_sends_nothing(tmp_path: Path, mlflow_db: Path) -> None:
    """MLflow's telemetry is disabled before the import, with and without the Makefile."""
    shutil.copyfile(mlflow_db, tmp_path / "mlflow.db")
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from ser.tracking import mlflow_runs; mlflow_runs.connect();"
        "from mlflow.telemetry.utils import is_telemetry_disabled;"
        "print(is_telemetry_disabled(), os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    )
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-c", program, str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "true"]
    assert "MLFLOW_DISABLE_TELEMETRY := true" in (ROOT / "Makefile").read_text()
