"""Share one small project with a result; tests that change it get a copy."""

from pathlib import Path

import pytest

from ser.labels import EMOTIONS
from tests.helpers import factories, fake_predictions
from tests.helpers.result_project import ResultProject


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> ResultProject:
    """Build the project, which tests must not change."""
    table = fake_predictions.predictions(factories.ravdess(range(1, 9)), skill=1.5, classes=EMOTIONS)
    return ResultProject(tmp_path_factory.mktemp("result"), table)


@pytest.fixture
def project(original: ResultProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultProject:
    """Copy the project and enter it."""
    project = original.copy(tmp_path / "copy")
    project.enter(monkeypatch)
    return project


@pytest.fixture
def shared(original: ResultProject, monkeypatch: pytest.MonkeyPatch) -> ResultProject:
    """Enter the original project."""
    original.enter(monkeypatch)
    return original
