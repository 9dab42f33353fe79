"""Each artefact is named in one module, and dvc.yaml names the same places."""

import ast
import re
from pathlib import Path
from typing import Any

import yaml

from ser import paths

ROOT = Path(__file__).parents[1]
SOURCES = [*(ROOT / "ser").rglob("*.py"), *(ROOT / "stages").glob("*.py"), ROOT / "predict.py"]
FOLDERS = re.compile("(data|metrics|models|reports)/")
FUNCTIONS = [value for value in vars(paths).values() if callable(value) and value is not Path]


def test_no_other_module_names_an_artefact() -> None:
    """A folder is renamed by changing one module; only docstrings name it too."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = {node for node in ast.walk(tree) if isinstance(node, ast.Constant)} - docstrings
        named = {str(node.value) for node in constants if FOLDERS.match(str(node.value))}
        assert path.name == "paths.py" or not named, path


def test_dvc_writes_where_the_code_does() -> None:
    """Each output of dvc.yaml is a path of the module, for every corpus and model."""
    item = "${item}"
    constants = {value.as_posix() for value in vars(paths).values() if isinstance(value, Path)}
    known = constants | {function(name).as_posix() for function in FUNCTIONS for name in (item, "lstm")}
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {out for stage in stages.values() for out in outputs(stage.get("do", stage))} <= known


def outputs(stage: dict[str, Any]) -> list[str]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def test_paths_are_relative() -> None:
    """Stages run in the project's folder, and in clones of it."""
    values = [value for value in vars(paths).values() if isinstance(value, Path)]
    assert not any(value.is_absolute() for value in [*values, *(function("demo") for function in FUNCTIONS)])
