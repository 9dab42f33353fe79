"""Imports between packages follow the table of the design, and dvc.yaml declares what each stage imports and reads."""

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
"""Scripts in stages/ that are no stage of dvc.yaml."""
STAGES = sorted({path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"} - COMMANDS)
DECLARED: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
LIBRARY = sorted((ROOT / "ser").rglob("*.py"))

BASE = {"params", "labels", "paths", "utils"}
ALLOWED: dict[str, set[str]] = {
    "paths": set(),
    "utils": {"paths"},
    "params": {"labels", "paths", "utils"},
    "labels": {"utils"},
    "audio": BASE,
    "predictions": BASE,
    "dataset": BASE | {"audio"},
    "corpora": BASE | {"dataset"},
    "augmentation": BASE | {"audio", "dataset"},
    "features": BASE | {"audio", "dataset"},
    "download": BASE | {"audio", "dataset", "corpora"},
    "evaluation": BASE | {"predictions", "dataset", "corpora"},
    "models": BASE | {"predictions", "dataset", "features"},
    "inference": BASE | {"audio", "predictions", "features", "models"},
    "reporting": BASE | {"audio", "predictions", "dataset", "corpora", "features", "evaluation"},
    "export": BASE | {"corpora", "dataset", "features", "models", "inference"},
    "serving": BASE | {"audio", "corpora", "inference", "reporting"},
    "tracking": BASE | {"predictions", "dataset", "evaluation", "inference"},
    "reproduce": BASE | {"predictions", "evaluation", "tracking"},
}
"""What each package, or module beside the packages, may import of the library."""

ONLY_IN: dict[str, set[str]] = {
    "soundfile": {"audio"},
    "soxr": {"audio"},
    "pyloudnorm": {"audio"},
    "noisereduce": {"audio"},
    "librosa": {"audio", "features", "reporting"},
    "audiomentations": {"augmentation"},
    "pooch": {"download"},
    "requests": {"download"},
    "urllib3": {"download"},
    "kagglehub": {"download"},
    "espeakng_loader": {"download"},
    "tensorflow": {"models", "export"},
    "keras": {"models"},
    "skops": {"models"},
    "onnxruntime": {"inference"},
    "sounddevice": {"inference"},
    "speech_recognition": {"inference"},
    "pyttsx3": {"inference"},
    "onnx": {"export"},
    "tf2onnx": {"export"},
    "matplotlib": {"reporting"},
    "seaborn": {"reporting"},
    "jinja2": {"reporting"},
    "fastapi": {"serving"},
    "uvicorn": {"serving"},
    "starlette": {"serving"},
    "anyio": {"serving"},
    "mlflow": {"tracking"},
    "dvc": {"reproduce"},
    "typer": set(),
}
"""Third-party libraries, and the packages that may import them."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Name every module that a file imports, wherever in the file, but not for type checkers only."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    body = [n for n in tree(path).body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test))]
    for node in ast.walk(ast.Module(body=body, type_ignores=[])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def file_of(module: str) -> Path | None:
    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    return path if path.is_file() else None


@cache
def closure(path: Path) -> frozenset[Path]:
    """Collect the project's files that a file imports, directly or not."""
    reached: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        reached.add(file)
        waiting.extend({f for module in imports(file) if (f := file_of(module))} - reached)
    return frozenset(reached)


def package(path: Path) -> str:
    """Name the package that a file of the library is in, or the module beside the packages that it is."""
    return path.relative_to(ROOT / "ser").parts[0].removesuffix(".py")


def packages(*paths: Path) -> set[str]:
    files = {file for path in paths for file in closure(path)}
    return {package(file) for file in files if file.is_relative_to(ROOT / "ser")}


def stage_packages(stage: str) -> set[str]:
    return packages(ROOT / "stages" / f"{stage}.py")


def definition(stage: str) -> dict[str, Any]:
    declared = DECLARED[stage]
    return declared.get("do", declared)  # type: ignore[no-any-return]


def test_packages_import_only_what_the_table_allows() -> None:
    """Every import between packages, wherever in a file, is in `ALLOWED`; `ser` itself imports nothing at once."""
    for path in LIBRARY:
        own = package(path)
        if own == "__init__":
            continue
        used = {name.split(".")[1] for name in imports(path) if name.startswith("ser.")} - {own}
        assert used <= ALLOWED[own], f"{path.relative_to(ROOT)} imports {used - ALLOWED[own]}"


def test_the_table_has_no_cycle() -> None:
    """Packages can be put in an order in which each imports only earlier ones."""
    placed: set[str] = set()
    while placed != set(ALLOWED):
        ready = {name for name, allowed in ALLOWED.items() if name not in placed and allowed <= placed}
        assert ready, f"a cycle among {set(ALLOWED) - placed}"
        placed |= ready


def test_private_modules_are_imported_by_their_package_only() -> None:
    """A module whose name starts with an underscore belongs to its package."""
    for path in [*LIBRARY, *(ROOT / "stages").glob("*.py"), ROOT / "predict.py"]:
        own = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").rpartition(".")[0]
        for name in imports(path):
            parent, _, module = name.rpartition(".")
            if parent.startswith("ser.") and module.startswith("_") and file_of(name):
                assert parent == own, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_third_party_libraries_are_imported_by_their_packages_only(library: str) -> None:
    """A library that may change or be replaced is imported in one package."""
    users = {package(path) for path in LIBRARY if any(name.split(".")[0] == library for name in imports(path))}
    assert users <= ONLY_IN[library]


def test_packages_and_modules_are_small() -> None:
    """A package has at most 14 modules, a module at most 450 lines."""
    for folder in {path.parent for path in LIBRARY} - {ROOT / "ser"}:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 14, folder
    for path in LIBRARY:
        assert len(path.read_text().splitlines()) <= 450, path


def test_packages_are_one_docstring_that_the_readme_repeats() -> None:
    """A package imports nothing at once, and README's tree describes it in the same words."""
    readme = (ROOT / "README.md").read_text()
    for path in (ROOT / "ser").glob("*/__init__.py"):
        body = tree(path).body
        assert len(body) == 1, path
        docstring = ast.get_docstring(tree(path))
        assert docstring and "\n" not in docstring, path
        assert docstring.rstrip(".") in readme, f"README.md does not describe ser/{path.parent.name} as {docstring!r}"


def test_importing_the_library_imports_nothing() -> None:
    """`ser` names `load`, and imports it when it is used."""
    code = "import sys, ser; assert not {m for m in sys.modules if m.startswith('ser.') or m == 'numpy'}; ser.load"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_corpus_module_imports_only_the_base() -> None:
    """The module of a corpus states facts."""
    for path in (ROOT / "ser" / "corpora").glob("*.py"):
        if path.stem not in ("__init__", "base"):
            assert {name for name in imports(path) if name.startswith("ser")} <= {
                "ser.corpora.base",
                *(f"ser.corpora.base.{name}" for name in ("Corpus", "Dataverse", "RemoteFile")),
            }, path


@pytest.mark.parametrize(
    "module",
    [
        *("evaluation", "predictions"),
        *(f"features/{name}.py" for name in ("frame_features", "pitch", "functionals", "columns", "acoustic_classes")),
        *("dataset/splits.py", "audio/vad.py", "inference/sliding_window.py"),
    ],
)
def test_pure_modules_read_no_files(module: str) -> None:
    """They compute from arrays and tables."""
    path = ROOT / "ser" / module
    for file in [path] if path.is_file() else sorted(path.glob("*.py")):
        if file.relative_to(ROOT / "ser").as_posix() in ("evaluation/evaluate.py", "features/acoustic_classes.py"):
            continue  # which read the prediction tables, and the table of centroids
        assert not {"os", "io", "pathlib.Path", "subprocess", "ser.utils.files"} & set(imports(file)), file


def test_the_library_does_not_print_and_catches_nothing_unnamed() -> None:
    """Output is the stages' and the command line's; unforeseen errors are not swallowed."""
    for path in LIBRARY:
        for node in ast.walk(tree(path)):
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id == "print"), path
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), path
            assert not (isinstance(node, ast.Attribute) and node.attr == "today"), path


def test_setting_names_are_those_of_the_library() -> None:
    """params.py validates names that the tables of functions define."""
    from ser import labels, params
    from ser.features import columns, frame_features, functionals
    from ser.models import baselines

    assert get_args(params.Emotion) == labels.EMOTIONS
    assert set(get_args(params.FrameFeature)) == set(frame_features.FRAME_FEATURES)
    assert set(get_args(params.Functional)) == {
        *functionals.COLUMN_FUNCTIONALS,
        *functionals.VOICED_FUNCTIONALS,
        *columns.CLIP_FUNCTIONAL_NAMES,
    }
    assert set(get_args(params.BaselineName)) == set(baselines.BASELINES)


def test_an_exported_model_names_what_it_imports() -> None:
    """MLflow installs for a model what inference imports, and no TensorFlow."""
    from ser.tracking.registry import REQUIREMENTS

    files = closure(ROOT / "ser/tracking/pyfunc_model.py") | closure(ROOT / "ser/inference/model.py")
    names = {name.split(".")[0] for file in files for name in imports(file)} - {"ser", *sys.stdlib_module_names}
    called = {"yaml": "PyYAML", "sklearn": "scikit-learn"}
    assert {called.get(name, name) for name in names} == {name for needed in REQUIREMENTS.values() for name in needed}
    assert "tensorflow" not in names


def test_stages_are_those_of_dvc_yaml() -> None:
    """Stage name and script name are the same, and each stage is described."""
    assert sorted(DECLARED) == STAGES
    for stage in STAGES:
        assert f"-m stages.{stage}" in definition(stage)["cmd"]
        assert definition(stage)["desc"]


@pytest.mark.parametrize("stage", STAGES)
def test_deps_name_every_package_a_stage_imports(stage: str) -> None:
    """DVC reruns a stage when the code that it runs has changed, and not for other packages."""
    names = stage_packages(stage) - {"paths"}  # what changes there must change in dvc.yaml too: see test_paths
    expected = {f"ser/{name}.py" if (ROOT / f"ser/{name}.py").is_file() else f"ser/{name}" for name in names}
    declared = {dep for dep in definition(stage)["deps"] if dep.startswith(("ser", "stages"))}
    assert declared == {*expected, f"stages/{stage}.py"}


@pytest.mark.parametrize("stage", STAGES)
def test_params_name_every_section_a_stage_reads(stage: str) -> None:
    """DVC reruns a stage when a parameter that it reads has changed, and not for other parameters."""
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


def test_make_checks_every_result() -> None:
    """`make repro` checks the stages that no other stage but `record` depends on, and so all stages."""
    needed = {dep for stage in STAGES if stage != "record" for dep in definition(stage).get("deps", [])}
    results = {stage for stage in STAGES if not any(is_part(out, dep) for out in outputs(stage) for dep in needed)}
    assert f"RESULTS := {' '.join(sorted(results - {'record'}))}\n" in (ROOT / "Makefile").read_text()


def outputs(stage: str) -> set[str]:
    kinds = [definition(stage).get(kind, []) for kind in ("outs", "metrics", "plots")]
    return {next(iter(out)) if isinstance(out, dict) else out for kind in kinds for out in kind}


def is_part(out: str, dep: str) -> bool:
    return f"{out}/".startswith(f"{dep}/") or f"{dep}/".startswith(f"{out}/")


@pytest.mark.parametrize("stage", [*STAGES, *sorted(COMMANDS)])
def test_a_stage_is_short_and_imports_no_other(stage: str) -> None:
    """A stage reads params, calls the library and writes outputs; stages exchange tables, not functions."""
    path = ROOT / "stages" / f"{stage}.py"
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith(("import ", "from "))]) <= 35
    assert not {name for name in imports(path) if name.startswith("stages")}


def test_the_library_imports_no_stages() -> None:
    """`ser` can be used without the pipeline around it."""
    for path in LIBRARY:
        assert not {name for name in imports(path) if name.split(".")[0] == "stages"}, path


@pytest.mark.parametrize("stage", ["split", "train_lstm", "train_baselines"])
def test_training_depends_on_no_signal_processing_and_no_leakage_check(stage: str) -> None:
    """Training reads stored features, so other code for audio retrains nothing; training on leaks is out of reach."""
    files = closure(ROOT / "stages" / f"{stage}.py")
    assert not {"audio", "augmentation", "download", "evaluation"} & stage_packages(stage)
    for module in ("extraction", "frame_features", "pitch", "functionals", "acoustic_classes"):
        assert ROOT / f"ser/features/{module}.py" not in files


@pytest.mark.parametrize("path", ["stages/evaluate.py", "ser/inference/model.py"])
def test_evaluation_and_inference_need_no_tensorflow(path: str) -> None:
    """Evaluation reads prediction tables, and inference runs ONNX graphs."""
    names = {name.split(".")[0] for file in closure(ROOT / path) for name in imports(file)}
    assert not {"tensorflow", "keras"} & names
