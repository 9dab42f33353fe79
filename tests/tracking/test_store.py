"""Test the address of the MLflow store."""

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
