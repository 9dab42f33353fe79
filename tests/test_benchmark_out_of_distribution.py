"""Test the signals and the table of the benchmark of the flag `out_of_distribution`."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks import out_of_distribution as benchmark
from ser.utils.errors import UserError
from tests.helpers import signals

SINES = [signals.sine(frequency, seconds=1) for frequency in (200, 300, 400)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: benchmark.espeak("pl"),
        lambda: benchmark.music(melody=False),
        lambda: benchmark.music(melody=True),
        lambda: benchmark.noise(1),
        lambda: benchmark.mixtures(SINES, ["a", "b", "b"], size=2),
    ],
)
def test_signals_differ_and_are_reproducible(make: Callable[[], Iterator[np.ndarray]]) -> None:
    """There are `N_SIGNALS`, finite and not clipped; a second run makes the same."""
    made = list(make())
    assert len(made) == benchmark.N_SIGNALS
    for signal in made:
        assert signal.dtype == np.float32
        assert 0.01 < np.abs(signal).max() < 1
    assert len({signal.tobytes() for signal in made}) > 1
    for first, again in zip(made, islice(make(), 3), strict=False):
        np.testing.assert_array_equal(first, again)


def test_mixtures_are_of_different_speakers() -> None:
    """Each has one clip of each of two speakers, at the same level."""
    for mixture in benchmark.mixtures(SINES, ["a", "b", "b"], size=2):
        spectrum = np.abs(np.fft.rfft(mixture[:8000]))[[100, 150, 200]]  # at 200, 300 and 400 Hz
        present = spectrum > 0.5 * spectrum.max()
        assert present[0] and present[1:].sum() == 1


def test_rows_of_the_table() -> None:
    """Shares and AUROC are of recordings with speech; without any, the cells are empty."""
    scores = np.array([[0.5, 0.9], [2.0, 0.3], [1.5, 0.6], [np.nan, np.nan]])
    row = benchmark.describe("music", scores, reference=np.array([0.4, 1.0]))
    assert row.strip("| ").split(" | ") == ["music", "4", "75%", "66.7%", "0.83", "0.60"]
    empty = benchmark.describe("noise", scores[3:], reference=np.array([0.4]))
    assert [cell.strip() for cell in empty.strip("|").split("|")] == ["noise", "1", "0%", "", "", ""]


def test_folders_without_recordings_are_rejected(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(UserError, match=tmp_path.name):
        list(benchmark.read_folder(tmp_path, every=1))
