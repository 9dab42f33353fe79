"""What the pages tell people to type is understood by DVC, and makes settings that the pipeline accepts."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

from ser.params import read_params
from ser.tracking.mlflow_runs import flatten
from tests.helpers import factories

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]


def commands(page: str) -> list[list[str]]:
    """Collect the overrides (-S) of each command of a page, as a shell hands them on."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("$HOME", "/home/someone")
    lines = re.findall(r"^(?:\S*dvc exp run .*)?-S .*", text, flags=re.MULTILINE)
    words = [shlex.split(line, comments=True) for line in lines]
    return [[value for flag, value in pairwise(line) if flag == "-S"] for line in words]


def test_pages_have_commands() -> None:
    """The search for commands finds those that there are."""
    assert {page for page in PAGES if commands(page)} >= {"README.md", "docs/own-recordings.md", "docs/mlflow.md"}


def test_the_comparison_shows_scores_and_settings() -> None:
    """Of the columns of `dvc exp show`, the command of the README leaves one score and every setting."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [(keep, drop)] = re.findall(r"exp show .*--keep '(.*?)' --drop '(.*?)'", text)
    settings = flatten(factories.ordinary())
    scores = [
        f"{model}.{part}.{name}" for model in ("lstm", "svm") for part in ("test", "val") for name in ("uar", "f1")
    ]
    columns = ["Experiment", "Created", *scores, *settings, "data/interim", "models/checkpoints", "models/exported", "reports/leakage.csv"]
    left = [name for name in columns if re.match(keep, name) or not re.match(drop, name)]
    assert left == ["Experiment", "lstm.test.uar", *settings]


@pytest.mark.parametrize("page", PAGES)
def test_overrides_make_settings(page: str, tmp_path: Path) -> None:
    """Quotes, plus signs and names of settings are right, also of each experiment of a grid."""
    sweeps = [sweep["params.yaml"] for found in commands(page) for sweep in get_hydra_sweeps({"params.yaml": found})]
    for overrides in sweeps:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(factories.ordinary()), encoding="utf-8")
        apply_overrides(tmp_path / "params.yaml", overrides)
        read_params(tmp_path / "params.yaml")
