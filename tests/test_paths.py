"""Test that only `ser.paths` has paths of artefacts, and that they match dvc.yaml."""

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
CONSTANTS = [value for value in vars(paths).values() if isinstance(value, Path)]


def test_other_modules_have_no_paths_of_artefacts() -> None:
    """Docstrings are exempt."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = {node for node in ast.walk(tree) if isinstance(node, ast.Constant)} - docstrings
        named = {str(node.value) for node in constants if FOLDERS.match(str(node.value))}
        assert path.name == "paths.py" or not named, path


def outputs(stage: dict[str, Any]) -> list[str]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def test_outputs_in_dvc_yaml_are_paths_of_the_module() -> None:
    """Paths are relative, as stages run in the project root and in clones."""
    known = {*CONSTANTS, *(function(name) for function in FUNCTIONS for name in ("${item}", "lstm"))}
    assert not any(path.is_absolute() for path in known)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    written = {Path(out) for stage in stages.values() for out in outputs(stage.get("do", stage))}
    assert written <= known
