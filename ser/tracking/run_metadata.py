"""Compute the key, name and tags of a run, without importing mlflow."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ser import paths
from ser.tracking import store as tracking_store
from ser.utils.errors import UserError


def read_settings() -> dict[str, Any]:
    """Read params.yaml without validation; empty if it is not a YAML mapping."""
    try:
        content = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def record_key(models: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Compute the key of the current result from metrics, predictions, models, settings and DVC experiment.

    Raises
    ------
    UserError
        If a stage has not written its files.
    """
    files = [paths.METRICS, paths.LEADERBOARD_CSV, paths.SPLITS]
    for model in models:
        files += [paths.predictions(model), paths.exported(model) / "card.json"]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise UserError(f"{', '.join(missing)}: not found; run `dvc repro` to create and record them.")
    return tracking_store.result_key(files, settings=settings, experiment=os.environ.get("DVC_EXP_NAME", ""))


def run_name() -> str:
    """Name a run after the DVC experiment, or else after the commit of the workspace."""
    return os.environ.get("DVC_EXP_NAME") or f"workspace {run_tags().get('git_revision', '')[:7]}".strip()


def experiment_tags(settings: Mapping[str, Any]) -> dict[str, str]:
    """Collect tags of the corpora and the split protocol, also from invalid settings."""
    split = settings.get("split")
    protocol = split.get("protocol") if isinstance(split, Mapping) else None
    corpora = settings.get("corpora")
    names = ",".join(sorted(map(str, corpora))) if isinstance(corpora, list) else str(corpora)
    return {"corpora": names, "protocol": str(protocol)}


def run_tags() -> dict[str, str]:
    """Collect tags of the Git revision, the DVC experiment and its baseline, and the machine."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    baseline = os.environ.get("DVC_EXP_BASELINE_REV", "")
    revision = baseline or git.stdout.strip()
    tags = {
        "git_revision": revision,
        "mlflow.source.git.commit": revision,
        "dvc_exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "dvc_exp_baseline": baseline,
        "machine.cores": str(os.cpu_count()),
        "machine.memory_gib": f"{memory / 2**30:.1f}",
        "machine.kind": f"{platform.system()} {platform.machine()}",
    }
    return {name: value for name, value in tags.items() if value}
