"""Results are read from commits and from the workspace, and the regression check compares them."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from ser import paths
from ser.labels import EMOTIONS
from ser.reproduce import revisions
from ser.utils.errors import UserError
from stages import check_metrics
from tests.helpers import factories, fake_predictions
from tests.helpers.fake_predictions import degrade, replace_predictions
from tests.helpers.result_project import ResultProject

PREDICTIONS = paths.predictions("lstm")


# Reading --------------------------------------------------------------------------------------------------------------


def test_a_commit_and_the_workspace_are_equal(project: ResultProject) -> None:
    """Metrics come from Git, settings from dvc.lock, predictions from DVC's cache, also if the workspace has none."""
    workspace, notes = revisions.read_result(None)
    PREDICTIONS.unlink()
    commit, more = revisions.read_result("main")
    assert workspace is not None and commit is not None
    assert (notes, more) == ([], [])
    assert (workspace.name, commit.name) == ("the workspace", f"main ({project.head()[:7]})")
    assert workspace.metrics == commit.metrics
    assert workspace.settings == commit.settings
    assert set(commit.settings) == {"corpora", "data_seed", "split", "emotions"}
    pd.testing.assert_frame_equal(workspace.predictions["lstm"], commit.predictions["lstm"])


def test_predictions_that_the_cache_lacks(project: ResultProject) -> None:
    """Metrics are read without them, and a note names them."""
    shutil.rmtree(".dvc/cache")
    result, [note] = revisions.read_result("main")
    assert result is not None
    assert result.predictions == {}
    assert PREDICTIONS.as_posix() in note


def test_a_revision_is_resolved(inside: ResultProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch, an abbreviated commit or an expression; not an unknown name, an option, or a folder without Git."""
    commit = inside.head()
    assert [revisions.resolve(name) for name in ("main", commit[:7], "HEAD~0")] == [commit] * 3
    for name in ("nowhere", "--all"):
        with pytest.raises(UserError, match=name):
            revisions.resolve(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="repository"):
        revisions.resolve("main")


def test_metrics_of_another_run(project: ResultProject) -> None:
    """Metrics that are not those of dvc.lock are refused."""
    project.metrics.write_text(project.metrics.read_text() + "\n")
    with pytest.raises(UserError, match=r"metrics\.json.*dvc\.lock"):
        revisions.read_result(None)


def test_predictions_of_another_run(project: ResultProject) -> None:
    """Predictions that do not have the UAR of the metrics are refused."""
    degrade(pd.read_parquet(PREDICTIONS), 20).to_parquet(PREDICTIONS)
    with pytest.raises(UserError, match=r"predictions of lstm.*UAR"):
        revisions.read_result(None)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"lstm": {"uar": 0.5}}'])
def test_broken_metrics(project: ResultProject, text: str) -> None:
    """A file without metrics is an error that names it."""
    project.metrics.write_text(text)
    with pytest.raises(UserError, match=r"metrics\.json of the workspace"):
        revisions.read_result(None)


# The command ----------------------------------------------------------------------------------------------------------


def check(capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[int, str]:
    """Run the regression check: its exit code and output."""
    with pytest.raises((typer.Exit, SystemExit)) as ended:
        check_metrics.main(**options)
    output = capsys.readouterr()
    code = ended.value.exit_code if isinstance(ended.value, typer.Exit) else ended.value.code
    return int(code or 0), output.out + output.err


def test_the_same_result_passes(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and a comment for a pull request."""
    code, _ = check(capsys, markdown=Path("check.md"))
    assert code == 0
    assert Path("check.md").read_text().startswith("## Regression check: passed")


def test_shuffled_predictions_fail(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that guesses is exit code 1, with a reason."""
    table = pd.read_parquet(PREDICTIONS)
    columns = ["predicted", *(f"prob_{name}" for name in EMOTIONS)]
    table[columns] = table[columns].sample(frac=1, random_state=1).to_numpy()
    project.evaluate(table.astype(dict.fromkeys(columns[1:], float)))
    code, output = check(capsys)
    assert code == 1
    assert "lstm: test UAR" in output


def test_two_commits(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Two commits are compared by their predictions in DVC's cache, whatever the workspace has."""
    good = project.head()
    project.evaluate(degrade(pd.read_parquet(PREDICTIONS), 6))
    project.commit("worse")
    worse = project.head()
    shutil.rmtree("data")
    code, output = check(capsys, against=good, candidate=worse)
    assert code == 1
    assert "McNemar" in output
    assert check(capsys, against=worse, candidate=good)[0] == 0


def test_a_changed_protocol_fails_until_accepted(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """A random split instead of unseen speakers is a change of protocol, not a better result."""
    project.write_params(split=factories.ordinary()["split"] | {"protocol": "random"})
    project.evaluate(pd.read_parquet(PREDICTIONS))
    code, output = check(capsys)
    assert code == 1
    assert "protocol" in output
    assert check(capsys, accept=["protocol"])[0] == 0


def test_a_first_result_passes(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """A revision without metrics, here of an empty tree, is reported, and nothing fails."""
    tree = project.git("hash-object", "-t", "tree", "-w", "/dev/null").strip()
    empty = project.git("commit-tree", tree, "-m", "empty").strip()
    code, output = check(capsys, against=empty)
    assert code == 0
    assert paths.METRICS.as_posix() in output


def test_metrics_of_an_earlier_version(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """Metrics under other names are not compared: the workspace passes, and such a commit cannot be a candidate."""
    table = pd.read_parquet(PREDICTIONS)
    project.rewrite_metrics('"cohen_kappa":', '"recall": 0.9, "kappa":')
    project.commit("earlier")
    project.evaluate(table)
    code, output = check(capsys)
    assert code == 0
    assert "earlier version" in output
    code, output = check(capsys, candidate="main")
    assert code == 2
    assert "earlier version" in output


def test_a_renamed_metric(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """A number that one side lacks is exit code 2."""
    project.rewrite_metrics('"ece":', '"calibration":')
    code, output = check(capsys)
    assert code == 2
    assert "metric ece" in output


def test_what_cannot_be_compared(project: ResultProject, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown revision, an unknown change or a workspace without metrics is exit code 2."""
    for options in ({"against": "nowhere"}, {"candidate": "nowhere"}, {"accept": ["protocoll"]}):
        code, output = check(capsys, **options)
        assert code == 2
        assert output.startswith("error: ")
        assert any(word in output for word in ("nowhere", "protocoll"))
    project.metrics.unlink()
    code, output = check(capsys)
    assert code == 2
    assert paths.METRICS.as_posix() in output


def test_helpers_change_probabilities_too() -> None:
    """Predictions that are changed by the helpers of these tests have matching probabilities."""
    changed = replace_predictions(
        fake_predictions.predictions(factories.ravdess([1]), skill=1.5, classes=EMOTIONS), [0], "sad"
    )
    probabilities = changed.loc[0, [f"prob_{name}" for name in EMOTIONS]]
    assert changed.predicted[0] == "sad" == probabilities.astype(float).idxmax().removeprefix("prob_")
