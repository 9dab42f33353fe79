"""The store is in DVC's root unless MLFLOW_TRACKING_URI is set, and a result has a key of its content."""

from pathlib import Path

import pytest

from ser.tracking import store as tracking_store


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def test_the_address(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is the main workspace's also during a temporary experiment; MLFLOW_TRACKING_URI replaces it."""
    assert tracking_store.address() == f"sqlite:///{project.resolve() / 'mlflow.db'}"
    monkeypatch.setenv("DVC_ROOT", str(project / "main"))
    assert tracking_store.address() == f"sqlite:///{project.resolve() / 'main' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert tracking_store.address() == "http://127.0.0.1:9"


def test_the_key_of_a_result(project: Path) -> None:
    """The key changes with a byte, a setting, a file's name or the experiment, and with nothing else."""
    one, two = Path("one"), Path("two")
    one.write_text("1")
    two.write_text("2")
    settings = {"a": 1, "b": [2]}
    keys = [
        tracking_store.result_key([one, two], settings=settings, experiment=""),
        tracking_store.result_key([one, two], settings=settings, experiment="lynx"),
        tracking_store.result_key([one, two], settings={"a": 1, "b": [3]}, experiment=""),
        tracking_store.result_key([one], settings=settings, experiment=""),
    ]
    reordered = tracking_store.result_key([two, one], settings=dict(reversed(settings.items())), experiment="")
    assert reordered == keys[0]
    two.write_text("3")
    keys.append(tracking_store.result_key([one, two], settings=settings, experiment=""))
    assert len(set(keys)) == len(keys)
    assert keys[1] == f"{keys[0]}lynx"
