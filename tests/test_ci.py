"""What continuous integration runs exists, is the same everywhere, and sends nothing to anybody."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = re.findall(r"^([\w./-]+):(?!=)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def made(text: str) -> list[str]:
    """List the targets that commands make."""
    return re.findall(r"^make ([\w./-]+)", text, flags=re.MULTILINE)


CALLED = made("\n".join(step.get("run", "") for step in steps(ROOT / ".github" / "workflows" / "ci.yml")))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one(path: Path) -> None:
    """It parses, says when it runs and where, and each step runs or uses something."""
    content = yaml.safe_load(path.read_text())
    assert content[True]  # which is what YAML makes of `on`
    for job in content["jobs"].values():
        assert {"runs-on", "steps", "timeout-minutes"} <= set(job)
    assert all(("run" in step) != ("uses" in step) for step in steps(path))
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps(path) if "uses" in step)


def test_targets_exist() -> None:
    """Whatever is made, in the workflow and on a machine of one's own, is in the Makefile."""
    assert {"lint", "test", "repro", "check-metrics"} <= set(CALLED) <= set(TARGETS)


def test_both_run_the_same() -> None:
    """The workflow only adds the environment, caches and what it shows."""
    assert made((ROOT / ".ci" / "run").read_text()) == [name for name in CALLED if name != ".venv/installed"]


@pytest.mark.parametrize("path", [".ci/run", ".ci/against"])
def test_scripts_are_scripts(path: str) -> None:
    """They can be executed, and bash understands them."""
    assert os.access(ROOT / path, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / path)], check=True)


def test_arguments_reach_the_commands() -> None:
    """Variables of make become options, one each, and no option where there is none."""
    said = dry("check-metrics", "AGAINST=origin/main", "ACCEPT=protocol corpora", "MARKDOWN=check.md")
    assert '--against "origin/main" --accept protocol --accept corpora --markdown "check.md"' in said
    assert dry("check-metrics").endswith('stages.check_metrics --against "main"')
    assert dry("reproduce", "REV=v1", "STAGES=evaluate").endswith('stages.reproduce --rev "v1" --stage evaluate')


def dry(*arguments: str) -> str:
    command = ["make", "--dry-run", "--old-file", ".venv/installed", *arguments]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=True)
    return re.sub(r"\s+", " ", done.stdout.replace("\\\n", " ")).strip()


# What a result is compared with ---------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def against(folder: Path, target: str = "") -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {"TARGET": target}
    done = subprocess.run([ROOT / ".ci" / "against"], cwd=folder, env=kept, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_what_a_result_is_compared_with(tmp_path: Path) -> None:
    """The target branch, else main, else the parent; a clone of one commit is compared with that."""
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    assert against(tmp_path) == "HEAD"
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "two")
    assert against(tmp_path) == "HEAD~1"
    git(tmp_path, "branch", "release", "HEAD~1")
    git(tmp_path, "checkout", "-q", "-b", "mine")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "three")
    assert against(tmp_path) == "main"
    assert against(tmp_path, "release") == "release"
    assert against(tmp_path, "nowhere") == "main"
    git(tmp_path, "branch", "-q", "-D", "main")
    assert against(tmp_path) == "HEAD~1"


# Nothing is sent ------------------------------------------------------------------------------------------------------


def test_dvc_sends_nothing() -> None:
    """A plain `dvc repro` in a clone reports neither usage nor asks for updates."""
    config = configparser.ConfigParser()
    config.read_string(re.sub(r"^\s+", "", (ROOT / ".dvc" / "config").read_text(), flags=re.MULTILINE))
    assert (config["core"]["analytics"], config["core"]["check_update"]) == ("false", "false")


def test_mlflow_sends_nothing(tmp_path: Path) -> None:
    """Its telemetry is off before it is imported, also where no Makefile said so."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from ser.tracking import mlflow_runs; mlflow_runs.connect();"
        "from mlflow.telemetry.utils import is_telemetry_disabled;"
        "print(is_telemetry_disabled(), os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    )
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-c", program, str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "true"]
    assert "MLFLOW_DISABLE_TELEMETRY := true" in (ROOT / "Makefile").read_text()
