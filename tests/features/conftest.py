"""Feature tables shared by the tests of this package."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.measured import measure_each, write_folder


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write clips, augmented clips and their features."""
    return write_folder(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="package")
def expected(folder: Path) -> dict[str, np.ndarray]:
    """Compute the frames of every clip in the folder."""
    return measure_each(folder)
