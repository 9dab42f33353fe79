"""A project with Git, DVC and a pipeline that takes a second: predictions, metrics and a model."""

import copy
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from ser import paths
from ser.evaluation import summary
from ser.utils.files import write_json
from tests.helpers import factories
from tests.helpers.dvc_project import ROOT, Project

SCRIPT = """
import json, os, pathlib, shutil, sys, yaml
source, data = pathlib.Path(os.environ["RESULT_SOURCE"]), pathlib.Path("data")
if sys.argv[1] == "download":
    pathlib.Path("data").mkdir(exist_ok=True)
    (data / "raw.txt").write_text("recordings")
    pathlib.Path("runs.txt").open("a").write("download ")
elif sys.argv[1] == "train":
    folder = pathlib.Path("models/exported/lstm")
    folder.mkdir(parents=True)
    (folder / "weights").write_text((data / "raw.txt").read_text() + (source / "noise").read_text())
    (folder / "classes").write_text("happy sad")
    (data / "predictions").mkdir(exist_ok=True)
    shutil.copy(source / "lstm.parquet", data / "predictions" / "lstm.parquet")
else:
    metrics = json.loads((source / "metrics.json").read_text())
    metrics["lstm"]["val"] = {"uar": yaml.safe_load(open("params.yaml"))["data_seed"] / 100}
    pathlib.Path("metrics").mkdir(exist_ok=True)
    pathlib.Path("metrics/metrics.json").write_text(json.dumps(metrics))
"""
PIPELINE: Mapping[str, Mapping[str, Any]] = {
    "download": {"outs": ["data/raw.txt"]},
    "train": {"deps": ["data/raw.txt"], "outs": ["models/exported/lstm", "data/predictions/lstm.parquet"]},
    "evaluate": {
        "deps": ["data/predictions/lstm.parquet"],
        "params": ["corpora", "data_seed", "split", "emotions"],
        "metrics": [{"metrics/metrics.json": {"cache": False}}],
    },
}
IGNORED = ["data", "models", "runs.txt", "check.md", "mlflow.db*", "mlartifacts", ".mlflow.lock"]


class ResultProject(Project):
    """A project on branch main. Its stages copy their outputs from the folder `source`, which tests may change."""

    def __init__(self, folder: Path, table: pd.DataFrame) -> None:
        self.folder, self.source = folder / "project", folder / "source"
        self.folder.mkdir()
        self.source.mkdir()
        (self.source / "noise").write_text("0")
        (self.folder / "stage.py").write_text(SCRIPT)
        (self.folder / ".gitignore").write_text("".join(f"/{name}\n" for name in IGNORED))
        self.write_params()
        self.git("init", "-q", "-b", "main")
        self.dvc("init", "-q")
        stages = {name: {"cmd": f"{sys.executable} stage.py {name}", **stage} for name, stage in PIPELINE.items()}
        (self.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
        self.evaluate(table)
        self.commit("a result")

    def copy(self, folder: Path) -> "ResultProject":
        """Copy the project to another folder."""
        shutil.copytree(self.folder.parent, folder, symlinks=True)
        copied = copy.copy(self)
        copied.folder, copied.source = folder / "project", folder / "source"
        return copied

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        """Make this the current project."""
        patch.chdir(self.folder)
        patch.setenv("RESULT_SOURCE", str(self.source))
        for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(PYTHONPATH=str(ROOT), RESULT_SOURCE=str(self.source), COLUMNS="200", **more)

    def write_params(self, **sections: Any) -> None:
        content = factories.ordinary() | {"corpora": ["ravdess"]} | sections
        content["evaluate"]["n_resamples"] = 100
        (self.folder / "params.yaml").write_text(yaml.safe_dump(content))

    def evaluate(self, table: pd.DataFrame) -> None:
        """Run all stages with a prediction table and its metrics."""
        settings = factories.settings(evaluate={"n_resamples": 100}).evaluate
        table.to_parquet(self.source / "lstm.parquet", index=False)
        write_json(self.source / "metrics.json", {"lstm": summary.summarize(table, settings, seed=1)})
        self.dvc("repro", "-q", "--force")

    def rewrite_metrics(self, old: str, new: str) -> None:
        """Replace a part of the metrics, and run `evaluate`."""
        metrics = self.source / "metrics.json"
        assert old in metrics.read_text()
        metrics.write_text(metrics.read_text().replace(old, new))
        self.dvc("repro", "-q", "--force", "--single-item", "evaluate")

    def head(self) -> str:
        return self.git("rev-parse", "HEAD").strip()

    @property
    def metrics(self) -> Path:
        return self.folder / paths.METRICS
