"""Run Git and DVC commands, and read dvc.lock."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ser import paths
from ser.utils.errors import UserError

DVC = (sys.executable, "-m", "dvc")


def run(command: Sequence[str], *, cwd: Path = Path(), capture: bool = False) -> str:
    """Run a command without variables of a surrounding DVC, MLflow, Git or make; return its output if `capture`."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "GIT_", "MAKE"))}
    env = kept | {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE if capture else None, text=True, check=False
    )
    if done.returncode != 0:
        raise UserError(f"`{' '.join(command)}` failed in {cwd.resolve()}; see its output above.")
    return done.stdout or ""


def read_lock(folder: Path) -> dict[str, Any]:
    """Read the stages of a folder's dvc.lock: {name: {cmd, deps, params, outs}}."""
    lock: dict[str, Any] = yaml.safe_load((folder / paths.LOCK).read_text(encoding="utf-8"))["stages"]
    return lock


def outputs(lock: Mapping[str, Any]) -> dict[str, str]:
    """List the outputs of stages of dvc.lock: {path: md5}."""
    return {out["path"]: out.get("md5", "") for stage in lock.values() for out in stage.get("outs", [])}
