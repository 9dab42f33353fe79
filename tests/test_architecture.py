"""What the design forbids between modules, and what dvc.yaml must declare, derived from the sources."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

ROOT = Path(__file__).parents[1]
COMMANDS = {"check_metrics", "promote", "reproduce", "serve"}
"""Scripts beside the stages, which only people start."""
STAGES = sorted({path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"} - COMMANDS)
DECLARED: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
LIBRARY = sorted((ROOT / "ser").rglob("*.py"))
DOORS = {
    "soundfile": {"audio_io"},
    "soxr": {"audio_effects"},
    "pyloudnorm": {"audio_effects"},
    "audiomentations": {"augmentation"},
    "tensorflow": {"trainer", "onnx_network"},
    "keras": {"network", "trainer"},
    "onnx": {"onnx_network"},
    "tf2onnx": {"onnx_network"},
    "onnxruntime": {"networks"},
    "seaborn": {"plots"},
    "matplotlib": {"plots"},
    "mlflow": {"tracking", "registry", "served"},
    "espeakng_loader": {"synthesis"},
    "speech_recognition": {"voice"},
    "pyttsx3": {"voice"},
    "pooch": {"fetching"},
    "requests": {"fetching"},
    "kagglehub": {"kaggle"},
    "jinja2": {"pages"},
    "sounddevice": {"streaming"},
    "fastapi": {"service"},
    "uvicorn": {"service"},
    "starlette": {"service", "uploads"},
}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[str]:
    """Name every module that a file imports, wherever in the file, but for type checkers only."""
    for node in ast.walk(without_typing_blocks(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def without_typing_blocks(path: Path) -> ast.Module:
    body = [
        node for node in tree(path).body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    return ast.Module(body=body, type_ignores=[])


def file_of(module: str) -> Path | None:
    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def closure(path: Path) -> set[Path]:
    """Collect the project's files that a file imports, directly or not, empty ones left aside."""
    found: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting.extend({f for module in imports(file) if (f := file_of(module))} - found)
    return {file for file in found if file.read_text()}


def definition(stage: str) -> dict[str, Any]:
    declared = DECLARED[stage]
    return declared.get("do", declared)  # type: ignore[no-any-return]


@pytest.mark.parametrize("stage", STAGES)
def test_deps_name_every_module_a_stage_imports(stage: str) -> None:
    """DVC reruns a stage when any code that it runs has changed, and not for other code."""
    expected = {str(file.relative_to(ROOT)) for file in closure(ROOT / "stages" / f"{stage}.py")}
    if "ser/corpora/facts.py" in expected:  # which imports corpora by name
        expected = expected - {"ser/corpora/facts.py"} | {"ser/corpora"}
    if "ser/pages.py" in expected:  # which reads templates by name
        expected |= {"ser/templates"}
    if "ser/sounds.py" in expected:  # which reads a table
        expected |= {"ser/acoustic_classes.csv"}
    declared = {dep for dep in definition(stage).get("deps", []) if dep.startswith(("ser", "stages"))}
    assert declared == expected


@pytest.mark.parametrize("stage", STAGES)
def test_params_name_every_section_a_stage_reads(stage: str) -> None:
    """DVC reruns a stage when a setting that it reads has changed, and not for other settings."""
    nodes = list(ast.walk(tree(ROOT / "stages" / f"{stage}.py")))
    read = {n.attr for n in nodes if isinstance(n, ast.Attribute) and is_params(n.value)}
    if "model_dump" in read:
        read = set(yaml.safe_load((ROOT / "params.yaml").read_text())) - {"check"}  # which is never in a dump
    declared = {key.split(".")[0] for key in definition(stage).get("params", [])}
    assert declared == read


def is_params(node: ast.expr) -> bool:
    named = isinstance(node, ast.Name) and node.id == "params"
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "read_params"
    return named or called


def test_stages_are_those_of_dvc_yaml() -> None:
    """Stage name and script name are the same, for all of them."""
    assert sorted(DECLARED) == STAGES
    for stage in STAGES:
        assert f"-m stages.{stage}" in definition(stage)["cmd"]


def test_make_asks_after_every_result() -> None:
    """`make repro` looks after what nothing but the record builds on, and so after all stages."""
    needed = {dep for stage in STAGES if stage != "record" for dep in definition(stage).get("deps", [])}
    results = {stage for stage in STAGES if not any(is_part(out, dep) for out in outputs(stage) for dep in needed)}
    assert f"RESULTS := {' '.join(sorted(results - {'record'}))}\n" in (ROOT / "Makefile").read_text()


def outputs(stage: str) -> set[str]:
    kinds = [definition(stage).get(kind, []) for kind in ("outs", "metrics", "plots")]
    return {next(iter(out)) if isinstance(out, dict) else out for kind in kinds for out in kind}


def is_part(out: str, dep: str) -> bool:
    return f"{out}/".startswith(f"{dep}/") or f"{dep}/".startswith(f"{out}/")


def test_a_served_model_names_what_it_imports() -> None:
    """MLflow installs for a model what inference imports, and no TensorFlow."""
    from ser.registry import NEEDED

    files = closure(ROOT / "ser" / "served.py") | closure(ROOT / "ser" / "inference.py")
    names = {name.split(".")[0] for file in files for name in imports(file)} - {"ser", *sys.stdlib_module_names}
    names.remove("scipy")  # of ser/temperature.py, which imports it where training fits a temperature
    called = {"yaml": "PyYAML", "sklearn": "scikit-learn"}
    assert {called.get(name, name) for name in names} == {package for needed in NEEDED.values() for package in needed}
    assert "tensorflow" not in names


@pytest.mark.parametrize("stage", [*STAGES, *sorted(COMMANDS)])
def test_a_stage_is_short(stage: str) -> None:
    """A stage reads params, calls the library and writes outputs; more belongs into the library."""
    code = [line for line in (ROOT / "stages" / f"{stage}.py").read_text().splitlines() if line.strip()]
    assert len(code) <= 40


def test_a_corpus_is_facts() -> None:
    """A corpus imports nothing but the word for one, so that its file alone is what stages depend on."""
    words = {"ser.corpora.facts"} | {f"ser.corpora.facts.{word}" for word in ("Corpus", "Dataverse", "RemoteFile")}
    for path in (ROOT / "ser" / "corpora").glob("*.py"):
        if path.stem not in ("__init__", "facts"):
            assert {name for name in imports(path) if name.startswith("ser")} <= words, path


def test_the_library_knows_no_stages_and_no_command_line() -> None:
    """`ser` can be used without the pipeline around it."""
    for path in LIBRARY:
        assert not {name for name in imports(path) if name.split(".")[0] in ("stages", "typer", "dvc")}, path


@pytest.mark.parametrize("stage", [*STAGES, *sorted(COMMANDS)])
def test_a_stage_imports_no_other(stage: str) -> None:
    """Stages hand each other tables, not functions."""
    assert not {name for name in imports(ROOT / "stages" / f"{stage}.py") if name.startswith("stages")}


@pytest.mark.parametrize("package", DOORS)
def test_each_package_has_one_door(package: str) -> None:
    """A package that may change or be replaced is imported in one place."""
    users = {path.stem for path in LIBRARY if any(name.split(".")[0] == package for name in imports(path))}
    assert users == DOORS[package]


@pytest.mark.parametrize(
    "module",
    [
        *("features", "splits", "metrics", "predictions", "bootstrap", "significance", "calibration", "temperature"),
        *("binary_tasks", "error_analysis", "subgroups", "regression", "speech", "windows"),
    ],
)
def test_pure_modules_know_no_files_and_no_models(module: str) -> None:
    """Arrays and tables in, arrays and tables out."""
    forbidden = {"pathlib", "os", "io", "ser.files", "ser.clips", "ser.network", "ser.trainer"}
    forbidden |= {"ser.baselines", "ser.tracking"}
    assert not forbidden & set(imports(ROOT / "ser" / f"{module}.py"))


def test_column_names_need_no_features() -> None:
    """Training finds columns by their names without what computes features."""
    found = {name.split(".")[1] for name in imports(ROOT / "ser" / "columns.py") if name.startswith("ser.")}
    assert found == {"params"}


def test_evaluate_never_needs_tensorflow() -> None:
    """Judging is apart from what is judged."""
    names = {name.split(".")[0] for file in closure(ROOT / "stages" / "evaluate.py") for name in imports(file)}
    assert not {"tensorflow", "keras"} & names


def test_no_model_can_be_trained_with_a_leak() -> None:
    """What shows on purpose what copies of test clips in training do is out of reach of what trains models."""
    for stage in ("split", "train_lstm", "train_baselines"):
        assert ROOT / "ser" / "probes.py" not in closure(ROOT / "stages" / f"{stage}.py")


@pytest.mark.parametrize("stage", ["split", "train_lstm", "train_baselines"])
def test_training_needs_no_audio_and_computes_no_features(stage: str) -> None:
    """A change of how features are computed reruns training only where their values change."""
    names = {file.stem for file in closure(ROOT / "stages" / f"{stage}.py")}
    assert not {name for name in names if name.startswith("audio")}
    assert not {"extraction", "features", "functionals", "sounds", "spectra"} & names


def test_the_library_does_not_print_and_nothing_is_caught_unnamed() -> None:
    """Output is the stages' affair; errors that nobody foresaw are not swallowed."""
    for path in LIBRARY:
        for node in ast.walk(tree(path)):
            assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"), (
                path
            )
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), path
            assert not (isinstance(node, ast.Attribute) and node.attr == "today"), path


def test_importing_the_package_imports_nothing() -> None:
    """`ser` itself only says where `load` is, and imports it when it is asked for; packages in it are empty."""
    assert all(path.read_text() == "" for path in LIBRARY if path.name == "__init__.py" and path.parent.name != "ser")
    code = (
        "import sys, ser; assert not {m for m in sys.modules if m.startswith('ser.') or m == 'numpy'}; print(ser.load)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "function load" in done.stdout


def test_names_in_settings_are_those_of_the_library() -> None:
    """params.py validates names that the tables of functions define."""
    from ser import augmentation, baselines, emotions, features, functionals, params

    assert get_args(params.Emotion) == emotions.EMOTIONS
    assert set(get_args(params.FrameFeature)) == set(features.FRAME_FEATURES)
    assert set(get_args(params.Functional)) == {*functionals.OF_COLUMNS, *functionals.OF_PARTS, *functionals.OF_CLIPS}
    assert set(get_args(params.AugmentationName)) == set(augmentation.AUGMENTATIONS)
    assert set(get_args(params.BaselineName)) == set(baselines.BASELINES)
