"""Test the documentation: commands and their settings are valid, and links and paths of code resolve."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

from ser.params import TrainLstm, read_params
from ser.tracking.mlflow_runs import flatten
from tests.helpers import factories

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
EXAMPLES = {"ser/corpora/NAME.py", "stages/NAME.py", "ser/corpora/emodb.py"}
"""Paths that stand for files of the reader."""
TRIALS = "benchmarks.model_selection"
"""Command whose overrides are keys of train_lstm."""


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def overrides(lines: list[str]) -> list[list[str]]:
    """Collect the overrides (-S) of each command, as a shell passes them."""
    commands = [shlex.split(line, comments=True) for line in lines]
    return [[value for flag, value in pairwise(command) if flag == "-S"] for command in commands]


def dvc_overrides(page: str) -> list[list[str]]:
    text = read(page).replace("$HOME", "/home/someone")
    return overrides(re.findall(r"^(?:\S*dvc exp run .*)?-S .*", text, flags=re.MULTILINE))


def test_pages_have_commands() -> None:
    """Commands are found in the pages that have some."""
    assert {page for page in PAGES if dvc_overrides(page)} >= {"README.md", "docs/own-recordings.md", "docs/mlflow.md"}


def test_comparison_shows_scores_and_settings() -> None:
    """The README's `dvc exp show` command shows one score and all settings."""
    [(keep, drop)] = re.findall(r"exp show .*--keep '(.*?)' --drop '(.*?)'", read("README.md"))
    settings = flatten(factories.ordinary())
    models, splits, metrics = ("lstm", "svm"), ("test", "val"), ("uar", "f1")
    scores = [f"{model}.{split}.{metric}" for model in models for split in splits for metric in metrics]
    outputs = ["data/interim", "models/checkpoints", "models/exported", "reports/leakage.csv"]
    columns = ["Experiment", "Created", *scores, *settings, *outputs]
    shown = [name for name in columns if re.match(keep, name) or not re.match(drop, name)]
    assert shown == ["Experiment", "lstm.test.uar", *settings]


@pytest.mark.parametrize("page", PAGES)
def test_overrides_are_valid_settings(page: str, tmp_path: Path) -> None:
    """Each experiment of each command has valid settings."""
    sweeps = [sweep for found in dvc_overrides(page) for sweep in get_hydra_sweeps({"params.yaml": found})]
    for sweep in sweeps:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(factories.ordinary()), encoding="utf-8")
        apply_overrides(tmp_path / "params.yaml", sweep["params.yaml"])
        read_params(tmp_path / "params.yaml")
    trials = overrides(re.findall(rf"^.*-m {re.escape(TRIALS)} .*", read(page), flags=re.MULTILINE))
    assert {override.split("=")[0] for trial in trials for override in trial} <= set(TrainLstm.model_fields)


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_targets_exist(page: str) -> None:
    """Commands run modules of the project and targets of the Makefile that exist."""
    modules = set(re.findall(r"python -m ((?:ser|stages|benchmarks|tools)\.[\w.]+)", read(page)))
    modules -= {"stages.NAME", "benchmarks.NAME", "tools.NAME"}
    assert [name for name in sorted(modules) if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []
    targets = set(re.findall(r"^([\w./-]+):", read("Makefile"), flags=re.MULTILINE))
    code = "\n".join(re.findall(r"^\s*```\w*\n(.*?)^\s*```", read(page), flags=re.MULTILINE | re.DOTALL))
    assert set(re.findall(r"\bmake ([\w./-]+)", code)) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    """Relative links lead to files of the project, and to headings that exist."""
    text = re.sub(r"^\s*```.*?^\s*```|`[^`\n]*`", "", read(page), flags=re.MULTILINE | re.DOTALL)
    links = {first or second for first, second in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)}
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not re.match(r"https?:", link) and (not target.exists() or (anchor and anchor not in anchors(target))):
            broken.append(link)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Collect the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_paths_of_code_exist(page: str) -> None:
    """Each file of the code that a page names exists."""
    paths = set(re.findall(r"(?<![\w./])(?:ser|stages|benchmarks|tests|tools)/[\w./*]*\w\.(?:py|csv|j2)\b", read(page)))
    assert [path for path in sorted(paths - EXAMPLES) if not (ROOT / path).exists()] == []
