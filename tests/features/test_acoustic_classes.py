"""Acoustic classes: frames at a centroid, changes of the channel, and deviations of known descriptors."""

from pathlib import Path

import numpy as np
import pytest

from ser.features.acoustic_classes import CENTROIDS, N_COEFFICIENTS, centroids, posteriors
from ser.features.functionals import PRIOR_COUNT, functionals
from tests.helpers import factories
from tools import make_acoustic_classes

SETTINGS = factories.settings(
    features={
        "frame_features": ["mfcc", "rms"],
        "functionals": ["acoustic_classes"],
        "mfcc": {"n_mfcc": 20, "delta_order": 0},
    }
).features
N = len(centroids())
MFCC = np.random.default_rng(0).normal(size=(300, 19))


def deviations_and_frequencies(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vector = functionals(frames, SETTINGS)
    return vector[:-N].reshape(N, -1), vector[-N:]


def test_centroids_are_the_output_of_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have the script's shape, are distinct, and the script writes them as the same bytes."""
    assert centroids().shape == (make_acoustic_classes.CLASSES, N_COEFFICIENTS)
    assert len(np.unique(centroids(), axis=0)) == N
    assert len(make_acoustic_classes.texts()) == 20
    monkeypatch.setattr(make_acoustic_classes, "CENTROIDS", tmp_path / "classes.csv")
    make_acoustic_classes.write(centroids())
    assert (tmp_path / "classes.csv").read_bytes() == CENTROIDS.read_bytes()


def test_frames_at_the_centroids_belong_to_the_nearest_class() -> None:
    """The class is that of the nearest centroid after normalization, for any offset and scale."""
    means = centroids()
    normalized = (means - means.mean(axis=0)) / means.std(axis=0)
    nearest = np.square(normalized[:, None] - means).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(posteriors(means * 3 - 7).argmax(axis=1), nearest)
    assert len(set(nearest)) > 0.8 * N


@pytest.mark.parametrize("mfcc", [MFCC, MFCC[:1], np.zeros((9, 19)), MFCC[:, :2], 1e6 * MFCC])
def test_posteriors_are_probabilities(mfcc: np.ndarray) -> None:
    """They sum to 1 for silence, a single frame, and few coefficients; offset and scale have no influence."""
    probabilities = posteriors(mfcc)
    assert probabilities.shape == (len(mfcc), N)
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(posteriors(100 * mfcc + 5), probabilities, atol=2e-3)


def test_deviations_of_a_known_level() -> None:
    """A constant level deviates nowhere, a level that follows a class deviates there, and offsets have no influence."""
    frames = np.column_stack([np.zeros(300), MFCC, np.full(300, 10)]).astype(np.float32)
    deviations, frequencies = deviations_and_frequencies(frames)
    np.testing.assert_allclose(deviations[:, -1], 0, atol=1e-5)
    assert frequencies.sum() == pytest.approx(1, rel=1e-5)
    probabilities = posteriors(MFCC)[:, 3]
    frames[:, -1] = level = 100 * probabilities
    deviations, frequencies = deviations_and_frequencies(frames)
    assert deviations[:, -1].argmax() == 3
    expected = probabilities @ (level - level.mean()) / (probabilities.sum() + PRIOR_COUNT)
    assert deviations[3, -1] == pytest.approx(expected, rel=1e-3)
    assert frequencies[3] == pytest.approx(probabilities.mean(), rel=1e-3)
    np.testing.assert_allclose(deviations_and_frequencies(frames + 7)[0], deviations, atol=1e-3)
