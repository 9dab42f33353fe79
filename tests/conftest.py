"""Fixtures that several packages use, and the order of tests."""

import os
from pathlib import Path

import pytest

from tests.helpers import mlflow_store, signals
from tests.helpers.fake_corpora import RAVDESS, TESS

ROOT = Path(__file__).parents[1]

# Only tests of parallel code start worker processes.
os.environ.setdefault("SER_WORKERS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files with slow tests first, so that no process of pytest-xdist ends with one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Locate real recordings: the folder SER_CORPORA, or ../shared/corpora next to the project."""
    folder = ROOT / os.environ.get("SER_CORPORA", "../shared/corpora")
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist; set SER_CORPORA to a folder with real recordings")
    return folder


@pytest.fixture
def fake_corpora(tmp_path: Path) -> Path:
    """Make a folder for `download.data_dir` with a few files that have real names and synthetic audio."""
    folder = tmp_path / "corpora"
    signals.write_recordings(folder / "ravdess", RAVDESS)
    signals.write_recordings(folder / "tess", TESS)
    return folder


@pytest.fixture(scope="session")
def mlflow_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create the database of an empty MLflow store, to be copied."""
    return mlflow_store.create(tmp_path_factory.mktemp("mlflow"))
