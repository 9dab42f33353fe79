"""Test the rebuilding of a commit or an MLflow run in a worktree, and its comparison with the original."""

import shutil
import sys
from pathlib import Path

import pytest
import typer
import yaml

from ser import paths
from ser.reproduce import diff, rebuild
from ser.tracking import mlflow_runs
from ser.tracking.mlflow_runs import RunInfo, find_run
from ser.utils.errors import UserError
from stages import reproduce
from tests.helpers.result_project import ResultProject

FOLDER = paths.REPRODUCTION
OUTPUTS = {"data/raw.txt", "models/exported/lstm", "data/predictions/lstm.parquet", "metrics/metrics.json"}


@pytest.mark.slow
def test_identical_result(project: ResultProject) -> None:
    """Every stage runs in a worktree, the exit code is 0, and the workspace does not change."""
    (project.folder / "runs.txt").unlink(missing_ok=True)
    done = project.run(sys.executable, "-m", "stages.reproduce", "--rev", "main", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 outputs" in done.stdout
    assert (FOLDER / "runs.txt").read_text() == "download "
    assert not Path("runs.txt").exists()
    assert project.git("status", "--short") == ""


@pytest.mark.parametrize("is_cached", [True, False])
def test_different_result(project: ResultProject, is_cached: bool) -> None:
    """Outputs that differ are listed with their metrics, and with their files if the original is in the cache."""
    (project.source / "noise").write_text("1")
    metrics = project.source / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"uar":', '"uar": 0.25, "other":', 1))
    if not is_cached:
        Path(".dvc/cache").rename("cache")
    rebuild.create_worktree("main", FOLDER)
    hashes = rebuild.rebuild(FOLDER)
    result = diff.compare(FOLDER, "main", hashes)
    assert (set(hashes), result.n_outputs) == (OUTPUTS, 4)
    files = ["models/exported/lstm/weights"] if is_cached else []
    assert result.changed == {"metrics/metrics.json": [], "models/exported/lstm": files}
    by_metric = result.metrics.set_index("metric")
    assert "lstm.val.uar" not in by_metric.index
    row = by_metric.loc["lstm.test.uar"]
    assert (row.after, row.change) == (0.25, row.after - row.before)
    text = diff.format_diff(result)
    assert all(part in text for part in ("2 of 4 outputs", "models/exported/lstm", *files, "lstm.test.uar"))


@pytest.mark.parametrize("options", [{"stages": ["train", "evaluate"]}, {"keep": ["download"]}])
def test_some_stages(shared: ResultProject, tmp_path: Path, options: dict[str, list[str]]) -> None:
    """Outputs of other stages come from the project's cache, and are not compared."""
    rebuild.create_worktree("main", tmp_path / "worktree")
    hashes = rebuild.rebuild(tmp_path / "worktree", **options)
    assert set(hashes) == OUTPUTS - {"data/raw.txt"}
    assert diff.compare(tmp_path / "worktree", "main", hashes).changed == {}
    assert not (tmp_path / "worktree" / "runs.txt").exists()


def test_errors(project: ResultProject) -> None:
    """An input that is not in the cache, an unknown stage, no stage, a broken pipeline and no dvc.lock are errors."""
    shutil.rmtree(".dvc/cache")
    rebuild.create_worktree("main", FOLDER)
    with pytest.raises(UserError, match=r"data/raw\.txt"):
        rebuild.rebuild(FOLDER, stages=["train"])
    with pytest.raises(UserError, match=r"'trian'.*download, train, evaluate"):
        rebuild.rebuild(FOLDER, keep=["trian"])
    with pytest.raises(UserError, match="no stage"):
        rebuild.rebuild(FOLDER, stages=["train"], keep=["train"])
    (FOLDER / "dvc.yaml").write_text("stages: {train: {}}")
    with pytest.raises(UserError, match=r"dvc\.yaml"):
        rebuild.rebuild(FOLDER)
    Path("dvc.lock").unlink()
    project.commit("no result")
    with pytest.raises(UserError, match=r"dvc\.lock"):
        rebuild.create_worktree("main", FOLDER)


def test_worktree(shared: ResultProject, tmp_path: Path) -> None:
    """A worktree is replaced, but no other folder; recordings that settings name are linked."""
    folder = tmp_path / "folder"
    settings = {"download": {"data_dir": "corpora"}, "mine": {"folder": "/elsewhere", "labels": None}}
    Path("corpora").mkdir()
    rebuild.create_worktree("main", folder, params=yaml.safe_dump(settings))
    Path("corpora").rmdir()
    assert (folder / "corpora").is_symlink()
    assert yaml.safe_load((folder / "params.yaml").read_text()) == settings
    rebuild.create_worktree("main", folder)
    assert not (folder / "corpora").is_symlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(UserError):
        rebuild.create_worktree("main", tmp_path / "other")
    assert (tmp_path / "other" / "file").exists()


def test_other_requirements_are_a_warning(project: ResultProject) -> None:
    """A commit that pins other packages than the workspace is reported."""
    Path("requirements.txt").write_text("numpy==1\n")
    project.commit("pinned")
    assert rebuild.package_warnings("HEAD") == []
    Path("requirements.txt").write_text("numpy==2\n")
    [warning] = rebuild.package_warnings("HEAD")
    assert "requirements.txt" in warning


@pytest.fixture(scope="module")
def runs(original: ResultProject, mlflow_db: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Record runs of a commit: as committed, with seed 60, with seed 60 and wrong metrics, and nested ones."""
    shutil.copyfile(mlflow_db, original.folder / "mlflow.db")
    committed = yaml.safe_load((original.folder / "params.yaml").read_text())
    with pytest.MonkeyPatch.context() as patch:
        original.enter(patch)
        for name, seed, uar in (("committed", committed["data_seed"], None), ("changed", 60, 0.6), ("wrong", 60, 0.9)):
            params = tmp_path_factory.mktemp(name) / "params.yaml"
            params.write_text(yaml.safe_dump(committed | {"data_seed": seed}))
            tags = {"git_revision": original.head(), "model": "lstm"}
            metrics = {"val.uar": uar or seed / 100, "epoch.loss": 3}
            run = mlflow_runs.Run(name, tags=tags, metrics=metrics, files={params: ""})
            nested = mlflow_runs.Run(f"{name} nested", tags={"git_revision": "abc", "model": "svm"})
            mlflow_runs.record("speech", run, [nested], key=f"{name}:{name}")
        client = mlflow_runs.connect()
        experiment = client.get_experiment_by_name("speech").experiment_id
        ids = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
        return ids | {"foreign": client.create_run(experiment).info.run_id}


@pytest.mark.parametrize(("name", "code", "seed"), [("committed", 0, 1), ("changed", 0, 60), ("wrong", 1, 60)])
def test_run_is_rebuilt(
    shared: ResultProject, runs: dict[str, str], capsys: pytest.CaptureFixture[str], name: str, code: int, seed: int
) -> None:
    """A run is rebuilt with its settings; its metrics are compared, and its outputs if the commit has its settings."""
    with pytest.raises(typer.Exit) as ended:
        reproduce.main(run=runs[name], folder=FOLDER)
    text = capsys.readouterr().out
    assert ended.value.exit_code == code
    assert ("4 of 4 outputs" in text) == (name == "committed")
    assert ("lstm.val.uar" in text) == (name == "wrong")
    assert yaml.safe_load((FOLDER / "params.yaml").read_text())["data_seed"] == seed


def test_find_run(shared: ResultProject, runs: dict[str, str]) -> None:
    """Commit, model, metrics and settings are read; the settings of a nested run are its parent's."""
    info = find_run(runs["wrong"])
    assert (info.revision, info.model) == (shared.head(), "lstm")
    assert info.metrics == {"val.uar": 0.9, "epoch.loss": 3}
    nested = find_run(runs["changed nested"])
    assert (nested.model, yaml.safe_load(nested.params)["data_seed"]) == ("svm", 60)
    for run_id in ("abc", runs["foreign"]):
        with pytest.raises(UserError, match=run_id):
            find_run(run_id)


def test_run_of_another_model(shared: ResultProject) -> None:
    """A run of a model that was not rebuilt cannot be compared, and the error lists the rebuilt ones."""
    with pytest.raises(UserError, match=r"'svm'.*lstm"):
        diff.compare(Path(), "main", {}, info=RunInfo("c", "svm", "", {"test.uar": 0.5}))


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("options", [{}, {"rev": "main", "run": "abc"}, {"rev": "nowhere"}, {"run": "abc"}])
def test_invalid_options(shared: ResultProject, capsys: pytest.CaptureFixture[str], options: dict[str, str]) -> None:
    """Invalid options end with exit code 2 and an error without traceback."""
    with pytest.raises(SystemExit) as ended:
        reproduce.main(**options)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
