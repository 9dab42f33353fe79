"""Whether something is recorded is answered without mlflow, and for other stores than SQLite by marks."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ser.tracking import store as tracking_store

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def fill(path: Path, key: str) -> None:
    """Make the table that MLflow keeps tags in."""
    with sqlite3.connect(path) as database:
        database.execute("create table tags (key text, value text, run_uuid text)")
        database.execute("insert into tags values ('record', ?, '1'), ('other', 'fff:', '1')", [key])


def test_the_project_s_root(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under DVC the store is the main workspace's, also in a temporary experiment; else that of the folder at hand."""
    assert tracking_store.root() == project.resolve()
    monkeypatch.setenv("DVC_ROOT", str(ROOT))
    assert tracking_store.root() == ROOT.resolve()
    assert tracking_store.address() == f"sqlite:///{ROOT.resolve() / 'mlflow.db'}"


@pytest.mark.parametrize(
    ("key", "held"), [("abc:lynx", True), ("abc:", True), ("abc:owl", False), ("abd:lynx", False), ("fff:", False)]
)
def test_what_a_database_holds(project: Path, key: str, held: bool) -> None:
    """An experiment needs a record under its name; the workspace any of the same result."""
    fill(project / "mlflow.db", "abc:lynx")
    assert tracking_store.contains(key) == held


def test_no_store_holds_nothing(project: Path) -> None:
    """Where there is no database, or an empty one, nothing is held, and asking makes none."""
    assert not tracking_store.contains("abc:lynx")
    assert not (project / "mlflow.db").exists()
    (project / "mlflow.db").touch()
    assert not tracking_store.contains("abc:lynx")


def test_a_server_is_remembered_by_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one server took is known without asking it, and says nothing of another."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert not tracking_store.contains("abc:lynx")
    tracking_store.mark_recorded("abc:lynx")
    assert [tracking_store.contains(key) for key in ("abc:lynx", "abc:", "abc:owl", "ab:")] == [
        True,
        True,
        False,
        False,
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:10")
    assert not tracking_store.contains("abc:lynx")


def test_a_result_is_named_by_its_content(project: Path) -> None:
    """The key changes with a byte, a setting or a file's name, and with nothing else."""
    one, two = Path("one"), Path("two")
    one.write_text("1")
    two.write_text("2")
    key = tracking_store.content_key([one, two], settings={"a": 1, "b": [2]})
    assert key == tracking_store.content_key([two, one], settings={"b": [2], "a": 1})
    assert key != tracking_store.content_key([one, two], settings={"a": 1, "b": [3]})
    assert key != tracking_store.content_key([one], settings={"a": 1, "b": [2]})
    two.write_text("3")
    assert key != tracking_store.content_key([one, two], settings={"a": 1, "b": [2]})


def test_asking_takes_no_mlflow() -> None:
    """What runs when there is nothing to record imports neither mlflow nor pandas."""
    code = "import sys, ser.tracking.run_metadata, ser.tracking.store\n"
    code += "sys.exit(bool({'mlflow', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
