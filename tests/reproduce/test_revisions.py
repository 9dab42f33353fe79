"""Test the reading of results from commits and the workspace, and the regression check of two results."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from ser import paths
from ser.reproduce import revisions
from ser.utils.errors import UserError
from stages import check_metrics
from tests.helpers import factories
from tests.helpers.fake_predictions import degrade
from tests.helpers.result_project import ResultProject

PREDICTIONS = paths.predictions("lstm")


def test_commit_and_workspace_are_equal(project: ResultProject) -> None:
    """A commit is read from Git, dvc.lock and DVC's cache, without the predictions of the workspace."""
    workspace, notes = revisions.read_result(None)
    PREDICTIONS.unlink()
    commit, commit_notes = revisions.read_result("main")
    assert workspace is not None and commit is not None
    assert notes == commit_notes == []
    assert (workspace.name, commit.name) == ("the workspace", f"main ({project.head()[:7]})")
    assert workspace.metrics == commit.metrics
    assert workspace.settings == commit.settings
    assert set(commit.settings) == {"corpora", "data_seed", "split", "emotions"}
    pd.testing.assert_frame_equal(workspace.predictions["lstm"], commit.predictions["lstm"])


def test_missing_predictions_are_a_note(project: ResultProject) -> None:
    """Without cached predictions, metrics are read and a note names the file."""
    shutil.rmtree(".dvc/cache")
    result, [note] = revisions.read_result("main")
    assert result is not None
    assert result.predictions == {}
    assert PREDICTIONS.as_posix() in note


def test_resolve(shared: ResultProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch, an abbreviated commit and an expression are resolved; options and folders without Git are errors."""
    commit = shared.head()
    assert [revisions.resolve(name) for name in ("main", commit[:7], "HEAD~0")] == [commit] * 3
    for name in ("nowhere", "--all"):
        with pytest.raises(UserError, match=name):
            revisions.resolve(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="repository"):
        revisions.resolve("main")


def test_files_of_different_results(project: ResultProject) -> None:
    """Predictions without the UAR of the metrics, and metrics without the hash in dvc.lock, are errors."""
    degrade(pd.read_parquet(PREDICTIONS), 20).to_parquet(PREDICTIONS)
    with pytest.raises(UserError, match=r"lstm.*UAR"):
        revisions.read_result(None)
    project.metrics.write_text(project.metrics.read_text() + "\n")
    with pytest.raises(UserError, match=r"metrics\.json.*dvc\.lock"):
        revisions.read_result(None)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"lstm": {"uar": 0.5}}'])
def test_invalid_metrics(project: ResultProject, text: str) -> None:
    """A metrics file without metrics is an error that names it."""
    project.metrics.write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json of the workspace"):
        revisions.read_result(None)


def check(capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, str]:
    """Run the regression check: its exit code and output."""
    with pytest.raises((typer.Exit, SystemExit)) as ended:
        check_metrics.main(**options)
    output = capsys.readouterr()
    code = ended.value.exit_code if isinstance(ended.value, typer.Exit) else ended.value.code
    return int(code or 0), output.out + output.err


def test_equal_results_pass(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 0, and a comment for a pull request is written."""
    assert check(capsys, markdown=Path("check.md"))[0] == 0
    assert Path("check.md").stat().st_size > 0


def test_two_commits(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Two commits are compared by predictions in DVC's cache, without the workspace."""
    good = project.head()
    project.evaluate(degrade(pd.read_parquet(PREDICTIONS), 6))
    project.commit("worse")
    worse = project.head()
    shutil.rmtree("data")
    code, output = check(capsys, against=good, candidate=worse)
    assert code == 1
    assert "McNemar" in output
    assert check(capsys, against=worse, candidate=good)[0] == 0


def test_changed_protocol_must_be_accepted(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """A random split instead of unseen speakers is a change of protocol, not a better result."""
    project.write_params(split=factories.ordinary()["split"] | {"protocol": "random"})
    project.evaluate(pd.read_parquet(PREDICTIONS))
    code, output = check(capsys)
    assert code == 1
    assert "protocol" in output
    assert check(capsys, accept=["protocol"])[0] == 0


def test_first_result_passes(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing fails if the other revision, here one of an empty tree, has no metrics."""
    tree = project.git("hash-object", "-t", "tree", "-w", "/dev/null").strip()
    empty = project.git("commit-tree", tree, "-m", "empty").strip()
    code, output = check(capsys, against=empty)
    assert code == 0
    assert paths.METRICS.as_posix() in output


def test_metrics_of_an_earlier_version(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Metrics under other names are not compared: the workspace passes; as a candidate they are an error."""
    table = pd.read_parquet(PREDICTIONS)
    project.rewrite_metrics('"cohen_kappa":', '"recall": 0.9, "kappa":')
    project.commit("earlier")
    project.evaluate(table)
    for options, expected in (({}, 0), ({"candidate": "main"}, 2)):
        code, output = check(capsys, **options)
        assert code == expected
        assert "earlier version" in output


@pytest.mark.parametrize("options", [{"against": "nowhere"}, {"candidate": "nowhere"}, {"accept": ["nowhere"]}])
def test_invalid_options(shared: ResultProject, capsys: pytest.CaptureFixture[str], options: dict[str, Any]) -> None:
    """An unknown revision or change is exit code 2."""
    code, output = check(capsys, **options)
    assert code == 2
    assert output.startswith("error: ")
    assert "nowhere" in output


def test_workspace_without_metrics(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """A workspace without metrics is exit code 2."""
    project.metrics.unlink()
    code, output = check(capsys)
    assert code == 2
    assert paths.METRICS.as_posix() in output
