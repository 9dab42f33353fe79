"""Functionals of frames for which they are known, such as a permutation, a line and a sine."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ser.features.columns import feature_names
from ser.features.functionals import (
    CLIP_FUNCTIONALS,
    COLUMN_FUNCTIONALS,
    MIN_FRAMES,
    VOICED_FUNCTIONALS,
    functional_names,
    functionals,
)
from ser.params import Features
from tests.helpers import factories


def settings(*functionals: str, features: tuple[str, ...] = ("rms",)) -> Features:
    sizes = {"mfcc": {"n_mfcc": 3, "delta_order": 1}, "mel": {"n_mels": 16, "fmin": 50}, "hop_seconds": 0.01}
    names = {"frame_features": list(features), "functionals": list(functionals)}
    return factories.settings(features=sizes | names).features


def compute(frames: Any, *names: str, features: tuple[str, ...] = ("rms",)) -> npt.NDArray[np.float32]:
    return functionals(np.asarray(frames, dtype=np.float32), settings(*names, features=features))


def test_order_statistics() -> None:
    """They are exact for a permutation of 0 to 100 and for a constant."""
    frames = np.stack([np.random.default_rng(0).permutation(101), np.full(101, 7)], axis=1)
    quantiles = {"min": 0, "percentile10": 10, "percentile25": 25, "median": 50}
    quantiles |= {"percentile75": 75, "percentile90": 90, "max": 100}
    expected = quantiles | {"mean": 50, "std": 850**0.5}  # (101² - 1) / 12
    assert set(expected) == set(COLUMN_FUNCTIONALS) - {"slope", "curvature", "mean_abs_delta"}
    for name, value in expected.items():
        computed = compute(frames, name, features=("rms", "zcr"))
        np.testing.assert_allclose(computed, [value, 0 if name == "std" else 7], rtol=1e-6)


@pytest.mark.parametrize("n_frames", [3, 50, 201])
def test_dynamics(n_frames: int) -> None:
    """Slope, curvature and mean absolute delta are exact for a line, a parabola and a zigzag."""
    time = np.linspace(0, 1, n_frames)
    frames = np.stack([5 + 3 * time, 7 - 4 * (2 * time - 1) ** 2, 2 * (np.arange(n_frames) % 2)], axis=1)
    slope, curvature, mean_abs_delta = compute(
        frames, "slope", "curvature", "mean_abs_delta", features=("pitch",)
    ).reshape(3, 3)
    np.testing.assert_allclose(slope[:2], [3, 0], atol=1e-4)
    np.testing.assert_allclose(curvature[:2], [0, -4], atol=1e-4)
    np.testing.assert_allclose(mean_abs_delta[[0, 2]], [3 / (n_frames - 1), 2], rtol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 2])
def test_dynamics_of_very_short_clips(n_frames: int) -> None:
    """The curvature of a single frame or two is 0."""
    dynamics = compute(np.arange(n_frames)[:, None] + 4, "slope", "curvature", "mean_abs_delta")
    assert dynamics == pytest.approx([n_frames - 1, 0, n_frames - 1])


def test_order_of_functionals() -> None:
    """The first functional of all features precedes the second, as float32."""
    vector = compute([[1, 10, 100], [3, 30, 300]], "max", "mean", features=("pitch",))
    np.testing.assert_array_equal(vector, [3, 30, 300, 2, 20, 200])
    assert vector.dtype == np.float32


def test_functionals_of_voiced_frames() -> None:
    """Voiced and unvoiced frames are summarized separately, or all if there are too few."""
    voiced = np.array([0, 1, 1, 0, 1, 0])
    level = [10, 1, 2, 20, 3, 30]
    values = compute(
        np.stack([level, np.zeros(6), voiced, np.zeros(6)], axis=1), *VOICED_FUNCTIONALS, features=("rms", "pitch")
    ).reshape(4, 4)[:, 0]
    expected = {"voiced_mean": 2, "voiced_std": (2 / 3) ** 0.5, "unvoiced_mean": 20, "unvoiced_std": (200 / 3) ** 0.5}
    assert dict(zip(VOICED_FUNCTIONALS, values, strict=True)) == pytest.approx(expected)
    few = np.arange(6) < MIN_FRAMES - 1
    frames = np.stack([level, np.zeros(6), few, np.zeros(6)], axis=1)
    assert compute(frames, "voiced_mean", features=("rms", "pitch"))[0] == pytest.approx(np.mean(level))


def test_functionals_of_absent_features_are_omitted() -> None:
    """Functionals whose features are not in the settings have no values and no names."""
    names = [*VOICED_FUNCTIONALS, *(name for name in CLIP_FUNCTIONALS if name != "modulation_spectrum")]
    assert compute(np.ones((9, 1)), "mean", *names).tolist() == [1]
    assert functional_names(settings("mean", *names)) == ["rms.0.mean"]


def test_covariances_and_correlations() -> None:
    """They agree with NumPy, for MFCC and their first derivatives; correlations of constants are 0."""
    frames = np.random.default_rng(0).normal(size=(200, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
    pairs = np.triu_indices(3, 1)
    covariance, correlation = (compute(frames, name, features=("mfcc",)) for name in ("covariance", "correlation"))
    np.testing.assert_allclose(covariance, np.cov(frames[:, :3].T, bias=True)[pairs], rtol=1e-5)
    np.testing.assert_allclose(correlation, np.corrcoef(frames[:, 3:].T)[pairs], atol=2e-3)
    assert compute(np.zeros((50, 6)), "correlation", features=("mfcc",)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("hz", "band"), [(2, 1), (4, 2), (6.5, 3), (10, 4), (16, 5), (28, 6)])
def test_modulation_spectrum_of_a_sine(hz: float, band: int) -> None:
    """The band of the modulation frequency has the maximum, and the mean level has no influence."""
    modulation = 3 * np.sin(2 * np.pi * hz * np.arange(300) * 0.01)[:, None]
    spectrum = compute(20 + modulation, "modulation_spectrum")
    assert spectrum.argmax() == band
    np.testing.assert_allclose(compute(50 + modulation, "modulation_spectrum"), spectrum, atol=1e-3)


@pytest.mark.parametrize(
    "features", [("mel",), ("chroma",), ("mfcc", "rms"), ("mel", "mfcc", "chroma", "rms", "zcr", "pitch", "spectral")]
)
@pytest.mark.parametrize("n_frames", [1, 2, 3, 1500])
def test_every_value_has_a_name(features: tuple[str, ...], n_frames: int) -> None:
    """There are as many unique names as finite values, for any features and length."""
    chosen = settings(*COLUMN_FUNCTIONALS, *VOICED_FUNCTIONALS, *CLIP_FUNCTIONALS, features=features)
    frames = np.random.default_rng(0).normal(size=(n_frames, len(feature_names(chosen)))).astype(np.float32)
    vector, names = functionals(frames, chosen), functional_names(chosen)
    assert np.isfinite(vector).all()
    assert len(vector) == len(names) == len(set(names))
    assert names[0] == f"{features[0]}.0.mean"
