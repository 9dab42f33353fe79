"""Functionals of frames whose answer is known: the numbers to 100, a line, a voice that comes and goes, a tremor."""

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

EVERY = (*COLUMN_FUNCTIONALS, *VOICED_FUNCTIONALS, *CLIP_FUNCTIONALS)
Frames = npt.NDArray[np.float32]


def settings(*functionals: str, frames: tuple[str, ...] = ("rms",)) -> Features:
    """Make the section `features`: these functionals of these features."""
    small = {"mfcc": {"n_mfcc": 3, "delta_order": 1}, "mel": {"n_mels": 16, "fmin": 50}, "hop_seconds": 0.01}
    return factories.settings(
        features=small | {"frame_features": list(frames), "functionals": list(functionals)}
    ).features


def of(frames: Any, *names: str, kinds: tuple[str, ...] = ("rms",)) -> Frames:
    return functionals(np.asarray(frames, dtype=np.float32), settings(*names, frames=kinds))


def test_of_known_columns() -> None:
    """Of the numbers 0 to 100, in any order, and of a constant, each functional is what one would say by heart."""
    count = np.random.default_rng(0).permutation(101)
    frames = np.stack([count, np.full(101, 7)], axis=1)
    others = {"slope", "curvature", "mean_abs_delta"}  # which depend on the order
    ranks = {
        "min": 0,
        "percentile10": 10,
        "percentile25": 25,
        "median": 50,
        "percentile75": 75,
        "percentile90": 90,
        "max": 100,
    }
    known = ranks | {"mean": 50, "std": 850**0.5}  # (101² - 1) / 12
    assert set(known) | others == set(COLUMN_FUNCTIONALS)
    for name, value in known.items():
        found = of(frames, name, kinds=("rms", "zcr"))
        np.testing.assert_allclose(found, [value, 0 if name == "std" else 7], rtol=1e-6)


@pytest.mark.parametrize("n_frames", [3, 50, 201])
def test_of_known_contours(n_frames: int) -> None:
    """Of a line, a parabola and a zigzag: how much they rise, how much lower their middle is, how much they change."""
    time = np.linspace(0, 1, n_frames)
    zigzag = np.arange(n_frames) % 2
    frames = np.stack([5 + 3 * time, 7 - 4 * (2 * time - 1) ** 2, 2 * zigzag], axis=1)
    slope, curvature, mean_abs_delta = (
        of(frames, name, kinds=("pitch",)) for name in ("slope", "curvature", "mean_abs_delta")
    )
    np.testing.assert_allclose(slope[:2], [3, 0], atol=1e-4)
    np.testing.assert_allclose(curvature[:2], [0, -4], atol=1e-4)
    np.testing.assert_allclose(mean_abs_delta[[0, 2]], [3 / (n_frames - 1), 2], rtol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 2])
def test_of_hardly_any_frames(n_frames: int) -> None:
    """A single frame neither rises nor bends nor changes, two do not bend, and all functionals are numbers."""
    frames = np.arange(n_frames)[:, None] + 4
    values = {name: float(of(frames, name)[0]) for name in COLUMN_FUNCTIONALS}
    assert np.isfinite(list(values.values())).all()
    assert (values["slope"], values["curvature"], values["mean_abs_delta"]) == pytest.approx(
        (n_frames - 1, 0, n_frames - 1)
    )


def test_they_come_one_after_the_other() -> None:
    """All features' first functional stands before all features' second, as 32-bit floats."""
    vector = of([[1, 10, 100], [3, 30, 300]], "max", "mean", kinds=("pitch",))
    np.testing.assert_array_equal(vector, [3, 30, 300, 2, 20, 200])
    assert vector.dtype == np.float32


def test_frames_with_a_voice_are_summed_up_alone() -> None:
    """A level that is 1, 2 and 3 with a voice and 10, 20 and 30 without has these means, whatever the order."""
    voiced = [0, 1, 1, 0, 1, 0]
    level = [10, 1, 2, 20, 3, 30]
    frames = np.stack([level, np.zeros(6), voiced, np.zeros(6)], axis=1)
    kinds = ("rms", "pitch")
    found = {name: of(frames, name, kinds=kinds)[0] for name in VOICED_FUNCTIONALS}
    assert found == pytest.approx(
        {"voiced_mean": 2, "voiced_std": (2 / 3) ** 0.5, "unvoiced_mean": 20, "unvoiced_std": (200 / 3) ** 0.5}
    )


def test_a_part_of_hardly_any_frames_is_the_whole() -> None:
    """Of a clip with fewer voiced frames than are worth summing up, the voiced mean is that of all frames."""
    level = np.arange(10)
    frames = np.stack([level, np.zeros(10), level < MIN_FRAMES - 1, np.zeros(10)], axis=1)
    assert of(frames, "voiced_mean", kinds=("rms", "pitch"))[0] == pytest.approx(level.mean())


def test_without_pitch_nobody_knows_what_is_voiced() -> None:
    """Functionals that need features that are not measured are left out: no number stands for none."""
    names = [*VOICED_FUNCTIONALS, *(name for name in CLIP_FUNCTIONALS if name != "modulation_spectrum")]
    assert of(np.ones((9, 1)), "mean", *names).tolist() == [1]
    assert functional_names(settings("mean", *names)) == ["rms.0.mean"]


def test_covariances_and_correlations() -> None:
    """They are NumPy's, of MFCC and of their first derivatives: each pair once, the first with all others first."""
    frames = np.random.default_rng(0).normal(size=(200, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
    pairs = np.triu_indices(3, 1)
    covariance, correlation = (of(frames, name, kinds=("mfcc",)) for name in ("covariance", "correlation"))
    np.testing.assert_allclose(covariance, np.cov(frames[:, :3].T, bias=True)[pairs], rtol=1e-5)
    np.testing.assert_allclose(correlation, np.corrcoef(frames[:, 3:].T)[pairs], atol=2e-3)


def test_what_does_not_move_is_correlated_with_nothing() -> None:
    """Derivatives of silence are 0 throughout, and so are their correlations."""
    assert of(np.zeros((50, 6)), "correlation", kinds=("mfcc",)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("hz", "band"), [(2, 1), (4, 2), (6.5, 3), (10, 4), (16, 5), (28, 6)])
def test_a_tremor_is_a_modulation_of_its_rate(hz: float, band: int) -> None:
    """A level that goes up and down so often a second is strongest in the band of that rate, at any height."""
    time = np.arange(300) * 0.01
    found = of((20 + 3 * np.sin(2 * np.pi * hz * time))[:, None], "modulation_spectrum")
    assert found.argmax() == band
    np.testing.assert_allclose(
        of((50 + 3 * np.sin(2 * np.pi * hz * time))[:, None], "modulation_spectrum"), found, atol=1e-3
    )


@pytest.mark.parametrize(
    "kinds", [("mel",), ("chroma",), ("mfcc", "rms"), ("mel", "mfcc", "chroma", "rms", "zcr", "pitch", "spectral")]
)
@pytest.mark.parametrize("n_frames", [1, 2, 3, 40, 1500])
def test_every_number_has_a_name(kinds: tuple[str, ...], n_frames: int) -> None:
    """There are as many names as numbers, none twice, whatever is measured and however long a clip is."""
    chosen = settings(*EVERY, frames=kinds)
    frames = np.random.default_rng(0).normal(size=(n_frames, len(feature_names(chosen)))).astype(np.float32)
    vector, names = functionals(frames, chosen), functional_names(chosen)
    assert (len(vector), vector.dtype) == (len(names), np.float32)
    assert np.isfinite(vector).all()
    assert len(set(names)) == len(names)
    assert names[0] == f"{kinds[0]}.0.mean"
