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


def read(page: str) -> str:
    """Read a page, given by its path."""
    return (ROOT / page).read_text(encoding="utf-8")


def code(page: str) -> str:
    """Collect the code blocks of a page."""
    return "\n".join(re.findall(r"^\s*```\w*\n(.*?)^\s*```", read(page), flags=re.MULTILINE | re.DOTALL))


def anchors(page: Path) -> set[str]:
    """Collect the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: str) -> list[list[str]]:
    """Collect the overrides (-S) of each command of a page, as a shell hands them on."""
    text = read(page).replace("$HOME", "/home/someone")
    lines = re.findall(r"^(?:\S*dvc exp run .*)?-S .*", text, flags=re.MULTILINE)
    words = [shlex.split(line, comments=True) for line in lines]
    return [[value for flag, value in pairwise(line) if flag == "-S"] for line in words]


def test_pages_have_commands() -> None:
    """The search for commands finds those that there are."""
    assert {page for page in PAGES if commands(page)} >= {"README.md", "docs/own-recordings.md", "docs/mlflow.md"}


def test_the_comparison_shows_scores_and_settings() -> None:
    """Of the columns of `dvc exp show`, the command of the README leaves one score and every setting."""
    text = read("README.md")
    [(keep, drop)] = re.findall(r"exp show .*--keep '(.*?)' --drop '(.*?)'", text)
    settings = flatten(factories.ordinary())
    scores = [
        f"{model}.{split}.{name}" for model in ("lstm", "svm") for split in ("test", "val") for name in ("uar", "f1")
    ]
    columns = [
        "Experiment",
        "Created",
        *scores,
        *settings,
        "data/interim",
        "models/checkpoints",
        "models/exported",
        "reports/leakage.csv",
    ]
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


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_targets_exist(page: str) -> None:
    """Commands run modules of the project and targets of the Makefile that exist."""
    modules = set(re.findall(r"python -m ((?:ser|stages|benchmarks|tools)\.[\w.]+)", read(page)))
    modules -= {"stages.NAME", "benchmarks.NAME", "tools.NAME"}
    assert [name for name in sorted(modules) if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    words = [word for line in re.findall(r"\bmake ((?:[\w./-]+ ?)+)", code(page)) for word in line.split()[:1]]
    assert [word for word in words if word not in targets] == []


@pytest.mark.parametrize("page", PAGES)
def test_trials_name_settings_of_the_network(page: str) -> None:
    """`benchmarks.selection` overrides keys of train_lstm that exist."""
    lines = re.findall(r"^.*-m benchmarks\.selection .*", read(page), flags=re.MULTILINE)
    words = [shlex.split(line, comments=True) for line in lines]
    keys = {value.split("=")[0] for line in words for flag, value in pairwise(line) if flag == "-S"}
    assert keys <= set(TrainLstm.model_fields)


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    """Relative links lead to files of the project, and to headings that exist."""
    text = re.sub(r"^\s*```.*?^\s*```|`[^`\n]*`", "", read(page), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    broken = []
    for link in {first or second for first, second in links}:
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_paths_of_code_exist(page: str) -> None:
    """Each file of the code that a page names exists."""
    paths = set(re.findall(r"(?<![\w./])(?:ser|stages|benchmarks|tests|tools)/[\w./*]*\w\.(?:py|csv|j2)\b", read(page)))
    assert [path for path in sorted(paths - EXAMPLES) if not (ROOT / path).exists()] == []
