"""Classes of sounds: of frames that are what a class is, of voices that differ, and of clips without any change."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ser.features.acoustic_classes import CENTROIDS, COEFFICIENTS, centroids, posteriors
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


def cepstra(n_frames: int = 300) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_frames, 19))


def test_the_classes_are_those_that_the_script_makes() -> None:
    """There are as many as the script asks for, each has all coefficients, and no two are the same."""
    assert centroids().shape == (make_acoustic_classes.CLASSES, COEFFICIENTS)
    assert len(np.unique(centroids(), axis=0)) == N
    assert len(make_acoustic_classes.texts()) == 20


def test_the_classes_are_written_as_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written by the script, they are the same bytes."""
    monkeypatch.setattr(make_acoustic_classes, "CENTROIDS", tmp_path / "classes.csv")
    make_acoustic_classes.write(centroids())
    assert (tmp_path / "classes.csv").read_bytes() == CENTROIDS.read_bytes()


def test_a_frame_is_likeliest_of_the_class_that_it_is_the_middle_of() -> None:
    """Frames that are the middles of all classes are each taken for its own, whoever speaks."""
    middles = centroids()
    voice = (middles - middles.mean(axis=0)) / middles.std(axis=0)
    near = np.square(voice[:, None] - middles).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(posteriors(middles * 3 - 7).argmax(axis=1), near)
    assert len(set(near)) > 0.8 * N


def test_a_frame_belongs_to_all_classes_together_once() -> None:
    """Shares are at least 0 and 1 together, also of silence and of a single frame, and of few or many coefficients."""
    for frames in (cepstra(), cepstra(1), np.zeros((9, 19)), cepstra()[:, :2], 1e6 * cepstra()):
        shares = posteriors(frames)
        assert shares.shape == (len(frames), N)
        assert shares.min() >= 0
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


def test_another_voice_says_the_same() -> None:
    """A voice that adds to each coefficient and stretches it changes no share; nor do coefficients beyond twelve."""
    same = partial(np.testing.assert_allclose, desired=posteriors(cepstra()), atol=2e-3)
    same(posteriors(cepstra() * np.arange(1, 20) + 5))
    same(posteriors(np.hstack([cepstra()[:, :12], cepstra()[:, 12:] ** 2])))


def test_what_the_voice_does_in_each_class() -> None:
    """A level that is 10 throughout is nowhere away from its mean; one that follows a class is highest there."""
    frames = np.column_stack([np.zeros(300), cepstra(), np.full(300, 10)]).astype(np.float32)
    away, frequent = parts(frames)
    np.testing.assert_allclose(away[:, -1], 0, atol=1e-5)
    assert frequent.sum() == pytest.approx(1, rel=1e-5)
    shares = posteriors(cepstra())
    frames[:, -1] = level = 100 * shares[:, 3]
    away, frequent = parts(frames)
    assert away[:, -1].argmax() == 3
    expected = shares[:, 3] @ (level - level.mean()) / (shares[:, 3].sum() + PRIOR_COUNT)
    assert away[3, -1] == pytest.approx(expected, rel=1e-3)
    assert frequent[3] == pytest.approx(shares[:, 3].mean(), rel=1e-3)


def test_how_high_a_voice_is_does_not_count() -> None:
    """What is added to a column throughout, as a louder or higher voice would, changes nothing."""
    frames = np.column_stack([np.zeros(300), cepstra(), cepstra()[:, 0]]).astype(np.float32)
    np.testing.assert_allclose(parts(frames + 7)[0], parts(frames)[0], atol=1e-4)


def parts(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take how far each class is from the mean, (classes, columns), and how frequent classes are."""
    vector = functionals(frames, SETTINGS)
    return vector[:-N].reshape(N, -1), vector[-N:]
