"""Results are read from commits and from the workspace of a real small repository, and what is missing is said."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from ser import paths
from ser.evaluation import summary
from ser.labels import EMOTIONS
from ser.reproduce import revisions
from ser.utils.errors import UserError
from ser.utils.files import write_json
from tests.evaluation.test_regression_check import answered, predicted, wronged
from tests.helpers import factories, fake_predictions

ROOT = Path(__file__).parents[2]
EVALUATE = factories.settings(evaluate={"resamples": 100}).evaluate
TABLE = predicted(factories.ravdess(range(1, 9)))
PIPELINE = {
    "train": {"cmd": "train", "outs": ["data/predictions/lstm.parquet"]},
    "evaluate": {"cmd": "evaluate", "params": ["corpora", "seed", "split", "emotions"]}
    | {"metrics": [{"metrics/metrics.json": {"cache": False}}]},
}


class Repository:
    """A project with one model: settings, metrics and predictions in Git and DVC."""

    def __init__(self, folder: Path, *, dvc: bool = False) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        (folder / ".gitignore").write_text("/data/\n")
        self.settings({})
        if dvc:
            self.dvc("init", "-q")
            self.dvc("config", "core.analytics", "false")
            (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": PIPELINE}))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        names = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_"))}
        env = kept | names | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", "COLUMNS": "200"}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)

    def git(self, *arguments: str) -> str:
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def dvc(self, *arguments: str) -> None:
        done = self.run(sys.executable, "-m", "dvc", *arguments)
        assert done.returncode == 0, done.stderr

    def settings(self, changes: dict[str, Any]) -> None:
        content = factories.ordinary() | {"corpora": ["ravdess"]} | changes
        content["evaluate"]["resamples"] = 100
        (self.folder / "params.yaml").write_text(yaml.safe_dump(content))

    def judge(self, table: pd.DataFrame) -> None:
        """Leave what training and evaluation leave."""
        path = self.folder / "data" / "predictions" / "lstm.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(path, index=False)
        write_json(self.folder / paths.METRICS, {"lstm": summary.summarize(table, EVALUATE, seed=1)})
        if (self.folder / "dvc.yaml").exists():
            self.dvc("commit", "-q", "-f")

    def commit(self) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a result")
        return self.git("rev-parse", "HEAD")

    def check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "stages.check_metrics", *arguments)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Make a result on main, which tests only read."""
    project = Repository(tmp_path_factory.mktemp("shared"), dvc=True)
    project.judge(TABLE)
    project.commit()
    project.git("tag", "good")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Repository:
    """Make a result on main, without DVC."""
    project = Repository(tmp_path)
    project.judge(TABLE)
    project.commit()
    return project


# Reading --------------------------------------------------------------------------------------------------------------


def test_a_commit_and_the_workspace_say_the_same(shared: Repository) -> None:
    """Metrics come from Git, settings from dvc.lock, predictions from DVC's cache, also when the workspace moved on."""
    here, none = revisions.read_result(None, root=shared.folder)
    predictions = shared.folder / "data" / "predictions" / "lstm.parquet"
    kept = predictions.read_bytes()
    predictions.unlink()
    there, notes = revisions.read_result("good", root=shared.folder)
    predictions.write_bytes(kept)
    assert here is not None and there is not None
    assert (none, notes) == ([], [])
    assert (here.name, there.name) == ("the workspace", f"good ({shared.git('rev-parse', '--short=7', 'good')})")
    assert here.metrics == there.metrics
    assert there.settings["corpora"] == ["ravdess"]
    assert set(there.settings) == {"corpora", "seed", "split", "emotions"}
    pd.testing.assert_frame_equal(here.predictions["lstm"], there.predictions["lstm"])


def test_a_cache_without_the_predictions(project: Repository) -> None:
    """Metrics are read all the same, and a note says what is not at hand."""
    found, notes = revisions.read_result("main", root=project.folder)
    assert found is not None
    assert found.predictions == {}
    assert "names no data/predictions/lstm.parquet" in notes[0]


def test_an_unknown_revision(project: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A branch that is not there, an option in place of one, and a folder without Git are told apart."""
    for name in ("nowhere", "--all"):
        with pytest.raises(UserError, match=f"revision '{name}' is unknown here; expected a branch, a tag or a commit"):
            revisions.resolve(name, root=project.folder)
    with pytest.raises(UserError, match="is no Git repository"):
        revisions.resolve("main", root=tmp_path_factory.mktemp("plain"))


def test_metrics_of_another_run(shared: Repository) -> None:
    """Metrics that dvc.lock does not name, and predictions that give another UAR, are of different runs."""
    project, metrics = shared, shared.folder / paths.METRICS
    kept = metrics.read_text()
    metrics.write_text(kept.replace("{", "{ ", 1))
    with pytest.raises(UserError, match=r"metrics.json of the workspace is not the one that its dvc.lock names"):
        revisions.read_result(None, root=project.folder)
    metrics.write_text(kept)


def test_predictions_of_another_run(project: Repository) -> None:
    """Predictions that do not give the stated UAR are refused."""
    wronged(TABLE, 20).to_parquet(project.folder / "data" / "predictions" / "lstm.parquet")
    with pytest.raises(
        UserError, match=r"predictions of lstm have a test UAR of 0\.\d+, and metrics/metrics.json says"
    ):
        revisions.read_result(None, root=project.folder)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"lstm": {"uar": 0.5}}'])
def test_broken_metrics(project: Repository, text: str) -> None:
    """A file that holds no metrics ends in a sentence."""
    (project.folder / paths.METRICS).write_text(text)
    with pytest.raises(UserError, match=r"metrics.json of the workspace(: expected| is not JSON)"):
        revisions.read_result(None, root=project.folder)


# The command ----------------------------------------------------------------------------------------------------------


def test_the_same_result_passes(shared: Repository) -> None:
    """Exit code 0, a table, and a comment for a pull request."""
    done = shared.check("--markdown", "check.md")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Regression check: passed\n")
    assert "not at hand" not in done.stdout
    assert (shared.folder / "check.md").read_text().startswith("## Regression check: passed")


def test_shuffled_answers_fail(project: Repository) -> None:
    """A model that guesses is exit code 1, and each reason is said."""
    order = TABLE.sample(frac=1, random_state=1).index
    answers = TABLE[["predicted", *(f"p_{name}" for name in EMOTIONS)]].loc[order].reset_index(drop=True)
    project.judge(TABLE.assign(**{name: answers[name] for name in answers}))
    done = project.check()
    assert done.returncode == 1
    assert "lstm: test UAR fell by 0." in done.stdout
    assert done.stdout.endswith("Regression check: worse\n")


def test_a_drop_on_a_branch(shared: Repository, tmp_path: Path) -> None:
    """Two commits are compared by their predictions in DVC's cache, whatever the workspace holds."""
    clone = tmp_path / "clone"
    shared.git("clone", "-q", ".", str(clone))
    project = object.__new__(Repository)
    project.folder = clone
    project.dvc("cache", "dir", "--local", str(shared.folder / ".dvc" / "cache"))
    project.judge(wronged(TABLE, 6))
    worse = project.commit()
    project.git("checkout", "-q", "good")
    done = project.check("--against", "good", "--candidate", worse)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "lstm: test UAR fell by 0.06" in done.stdout
    assert "McNemar's p" in done.stdout


def test_a_swapped_protocol_fails_until_declared(project: Repository) -> None:
    """Random clips in place of unseen speakers look better, and are another question."""
    project.settings({"split": factories.ordinary()["split"] | {"hold_out": "clip"}})
    done = project.check()
    assert done.returncode == 1
    assert "undeclared change of protocol: split.hold_out was speaker, is clip" in done.stdout
    assert project.check("--declare", "protocol").returncode == 0


def test_a_first_run_passes(tmp_path: Path) -> None:
    """Where the other revision has no metrics, that is said, and nothing fails."""
    project = Repository(tmp_path)
    project.commit()
    project.judge(TABLE)
    done = project.check()
    assert (done.returncode, done.stderr) == (0, "")
    assert "main has no metrics/metrics.json: this is the first result" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--against", "nowhere"], "error: revision 'nowhere' is unknown here"),
        (["--candidate", "nowhere"], "error: revision 'nowhere' is unknown here"),
        (["--declare", "protocoll"], "error: declared change 'protocoll': expected one of corpora, protocol"),
        (["--agianst", "main"], "No such option"),
    ],
)
def test_what_cannot_be_asked(project: Repository, arguments: list[str], said: str) -> None:
    """Exit code 2 and a message, apart from that of a result that is worse."""
    done = project.check(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_no_result_in_the_workspace(project: Repository) -> None:
    """Nothing was built yet: exit code 2, and what builds it."""
    (project.folder / paths.METRICS).unlink()
    done = project.check()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the workspace has no metrics/metrics.json; `make repro` makes it.\n"


def test_a_renamed_metric(project: Repository) -> None:
    """A number that one side lacks is exit code 2."""
    metrics = project.folder / paths.METRICS
    metrics.write_text(metrics.read_text().replace('"ece":', '"calibration":'))
    done = project.check()
    assert done.returncode == 2
    assert "lstm: the workspace has no test metric ece. Was it renamed" in done.stdout


def test_helpers_change_what_they_say() -> None:
    """Answers that are changed by the helpers of these tests have the probabilities to go with them."""
    changed = answered(fake_predictions.predictions(factories.ravdess([1]), skill=1.5, classes=EMOTIONS), [0], "sad")
    shares = changed.loc[0, [f"p_{name}" for name in EMOTIONS]]
    assert changed.predicted[0] == "sad" == shares.astype(float).idxmax()[2:]
