"""One small project for all tests of a session, and a copy of it for tests that change it."""

from pathlib import Path

import pytest

from tests.evaluation.test_regression_check import predicted
from tests.helpers import factories
from tests.helpers.result_project import ResultProject


def enter(project: ResultProject, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(project.folder)
    patch.setenv("RESULT_SOURCE", str(project.source))
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI"):
        patch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> ResultProject:
    """Build the project; tests only read it."""
    return ResultProject(tmp_path_factory.mktemp("result"), predicted(factories.ravdess(range(1, 9))))


@pytest.fixture
def project(original: ResultProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultProject:
    """Copy the project and enter it."""
    project = original.copy(tmp_path / "copy")
    enter(project, monkeypatch)
    return project


@pytest.fixture
def inside(original: ResultProject, monkeypatch: pytest.MonkeyPatch) -> ResultProject:
    """Enter the shared project."""
    enter(original, monkeypatch)
    return original
