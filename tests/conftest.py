"""What several tests share: where real recordings are, a corpus as small as can be, and one process by default."""

import os
from pathlib import Path

import pytest
import signals

ROOT = Path(__file__).parents[1]

LONG = (
    "pipeline",
    "lstm",
    "archives",
    "training",
    "inference",
    "interruptions",
    "benchmarks",
    "rebuilding",
    "revisions",
)
"""Files of tests that take longest: they begin first, or one process would be left with the longest at the end."""

# Processes are started only where a test is about them.
os.environ.setdefault("SER_WORKERS", "1")

RAVDESS = [
    "Actor_01/03-01-01-01-01-01-01.wav",
    "Actor_01/03-01-05-01-01-01-01.wav",
    "Actor_02/03-01-03-02-02-01-02.wav",
    "Actor_24/03-01-08-02-02-02-24.wav",
]
TESS = ["OAF_angry/OAF_back_angry.wav", "OAF_neutral/OA_bite_neutral.wav", "YAF_pleasant_surprise/YAF_dog_ps.wav"]


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
    """Make a folder as `download.local_dir` wants it: a few recordings of RAVDESS and TESS, real but for the sound."""
    folder = tmp_path / "corpora"
    signals.write_recordings(folder / "ravdess", RAVDESS)
    signals.write_recordings(folder / "tess", TESS)
    return folder
