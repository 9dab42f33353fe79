"""What several tests share: where real recordings are, a corpus as small as can be, and one process by default."""

import os
from pathlib import Path

import pytest

from tests.helpers import signals
from tests.helpers.fake_corpora import RAVDESS, TESS

ROOT = Path(__file__).parents[1]

LONG = (
    "pipeline",
    "trainer",
    "network",
    "serialization",
    "cross_validation",
    "model",
    "interruptions",
    "benchmarks",
    "rebuild",
    "revisions",
)
"""Files of tests that take longest: they begin first, or one process would be left with the longest at the end."""

# Processes are started only where a test is about them.
os.environ.setdefault("SER_WORKERS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first; `make test` tells pytest-xdist to keep this order."""
    names = [f"test_{name}.py" for name in LONG]
    items.sort(key=lambda item: names.index(item.path.name) if item.path.name in names else len(names))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Find real recordings: the folder SER_CORPORA, or ../shared/corpora beside the project."""
    folder = ROOT / os.environ.get("SER_CORPORA", "../shared/corpora")
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; set SER_CORPORA to a folder with real recordings")
    return folder


@pytest.fixture
def fake_corpora(tmp_path: Path) -> Path:
    """Make a folder as `download.data_dir` wants it: a few recordings of RAVDESS and TESS, real but for the sound."""
    folder = tmp_path / "corpora"
    signals.write_recordings(folder / "ravdess", RAVDESS)
    signals.write_recordings(folder / "tess", TESS)
    return folder
