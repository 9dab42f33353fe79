"""Test the address of the MLflow store and the key of a result."""

from pathlib import Path

import pytest

from ser.tracking import store


def test_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is in DVC's root, also during a temporary experiment; MLFLOW_TRACKING_URI replaces it."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    assert store.address() == f"sqlite:///{tmp_path.resolve() / 'mlflow.db'}"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    assert store.address() == f"sqlite:///{tmp_path.resolve() / 'main' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert store.address() == "http://127.0.0.1:9"


def test_result_key(tmp_path: Path) -> None:
    """The key depends on the files, the settings and the experiment, but not on their order."""
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("2")
    settings = {"x": 1, "y": [2]}
    key = store.result_key([a, b], settings=settings, experiment="")
    assert store.result_key([b, a], settings=dict(reversed(settings.items())), experiment="") == key
    assert store.result_key([a, b], settings=settings, experiment="lynx") == f"{key}lynx"
    assert store.result_key([a, b], settings={"x": 1, "y": [3]}, experiment="") != key
    assert store.result_key([a], settings=settings, experiment="") != key
    b.write_text("3")
    assert store.result_key([a, b], settings=settings, experiment="") != key
