"""Features of signals for which they are known, such as sines, white noise and decays."""

import json
from typing import Any

import librosa
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ser.features.columns import feature_names
from ser.features.frame_features import FRAME_FEATURES, FrameAnalysis, frame_features
from ser.features.functionals import CLIP_FUNCTIONALS, COLUMN_FUNCTIONALS, VOICED_FUNCTIONALS, functionals
from ser.params import Features
from ser.utils.parallel import map_batches
from tests.golden import regenerate
from tests.helpers import factories
from tests.helpers.signals import RATE, harmonics, noise, silence, sine

STEADY = slice(3, -3)
"""Frames that do not extend beyond the ends of the signal."""


def settings(*names: str, **changes: Any) -> Features:
    """Make the section `features` with these frame features, or all."""
    times = {"window_seconds": 0.032, "hop_seconds": 0.01, "chroma": {"n_chroma": 12}}
    sizes = {"mfcc": {"n_mfcc": 20, "delta_order": 2}, "mel": {"n_mels": 64, "fmin": 50}}
    return factories.settings(
        features=times | sizes | {"frame_features": list(names or FRAME_FEATURES)} | changes
    ).features


def steady(feature: str, signal: np.ndarray, **changes: Any) -> np.ndarray:
    return frame_features(signal, settings(feature, **changes), rate=RATE)[STEADY]


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100])
@pytest.mark.parametrize("seconds", [0.05, 0.5051])
def test_shape(rate: int, seconds: float) -> None:
    """There are 1 + n_samples // hop_length rows at any rate and length, and as many columns as names."""
    signal = noise(seconds=seconds, rate=rate)
    matrix = frame_features(signal, settings(), rate=rate)
    assert matrix.shape == (1 + len(signal) // round(0.01 * rate), len(feature_names(settings())))
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")
@pytest.mark.parametrize("n_samples", [1, 160, 4800])
@pytest.mark.parametrize("value", [0.0, 1e-20, 1.0])
def test_constant_signals_have_finite_features(n_samples: int, value: float) -> None:
    """Features and functionals are finite for silence, denormal squares and an offset, however short."""
    matrix = frame_features(np.full(n_samples, value, dtype=np.float32), settings(), rate=RATE)
    assert len(matrix) == 1 + n_samples // 160
    assert np.isfinite(matrix).all()
    everything = settings(functionals=[*COLUMN_FUNCTIONALS, *VOICED_FUNCTIONALS, *CLIP_FUNCTIONALS])
    assert np.isfinite(functionals(matrix, everything)).all()


@pytest.mark.parametrize("feature", FRAME_FEATURES)
def test_names_of_each_feature(feature: str) -> None:
    """A feature has as many names as columns."""
    sizes = {"mfcc": {"n_mfcc": 7, "delta_order": 1}, "mel": {"n_mels": 10, "fmin": 0}, "chroma": {"n_chroma": 24}}
    width = {"mfcc": 14, "mel": 10, "chroma": 24, "rms": 1, "zcr": 1, "pitch": 3, "spectral": 9}[feature]
    assert feature_names(settings(feature, **sizes)) == [f"{feature}.{column}" for column in range(width)]
    assert steady(feature, noise(), **sizes).shape == (95, width)


def test_columns_follow_the_order_of_the_settings() -> None:
    """A subset in another order has the same columns."""
    selected, everything = settings("zcr", "mfcc", "rms"), settings()
    columns = [feature_names(everything).index(name) for name in feature_names(selected)]
    expected = frame_features(noise(), everything, rate=RATE)[:, columns]
    np.testing.assert_array_equal(frame_features(noise(), selected, rate=RATE), expected)


def test_mel_level_of_a_sine() -> None:
    """Levels are relative to full scale: the bin of the sine, at half its amplitude, and two neighbours."""
    centre = librosa.mel_frequencies(9, fmin=0, fmax=RATE / 2)[4]
    levels = steady("mel", sine(centre, amplitude=0.5), mel={"n_mels": 7, "fmin": 0})
    assert set(levels.argmax(axis=1)) == {3}
    np.testing.assert_allclose(levels[:, 3], 10 * np.log10(1.5 * 0.25**2), atol=0.5)


@pytest.mark.parametrize("amplitude", [1.0, 0.5, 0.001])
def test_rms_of_a_sine(amplitude: float) -> None:
    """The level of a sine is 3.01 dB below its amplitude; the lowest level, also of mel bands, is -80 dB."""
    expected = 20 * np.log10(amplitude) - 3.0103
    np.testing.assert_allclose(steady("rms", sine(1000, amplitude=amplitude)), expected, atol=0.01)
    for feature in ("rms", "mel"):
        np.testing.assert_allclose(steady(feature, silence(0.5)), -80, atol=1e-4)


def test_spectral_descriptors_of_white_noise() -> None:
    """The centroid is at half of the band, the roll-off at 85 % of it, and the slopes are 0."""
    centroid, bandwidth, rolloff, _, flux, alpha, _, low, high = steady("spectral", noise(seconds=5)).mean(axis=0)
    half = RATE / 4
    assert (centroid, bandwidth) == pytest.approx((half, 2 * half / 12**0.5), rel=0.02)
    assert rolloff == pytest.approx(0.85 * 2 * half, rel=0.02)
    assert alpha == pytest.approx(10 * np.log10(4000 / 950), abs=0.5)
    assert (low, high) == pytest.approx((0, 0), abs=3)
    assert 0.3 < flux < 0.8  # adjacent frames share two thirds of their samples


def test_spectral_descriptors_of_a_sine() -> None:
    """A sine of 3 kHz is narrow, tonal and constant, and has its power above 1 and 2 kHz."""
    centroid, bandwidth, rolloff, flatness, flux, alpha, hammarberg, _, _ = steady("spectral", sine(3000)).mean(axis=0)
    assert (centroid, rolloff) == pytest.approx((3000, 3000), abs=32)
    assert bandwidth < 100
    assert flatness < -40
    assert flux < 0.01
    assert alpha > 40
    assert hammarberg < -40


def test_spectral_slopes() -> None:
    """Power that falls by 6 dB per 250 Hz has slopes of -24 dB per kHz."""
    analysis = FrameAnalysis(signal=noise(), rate=RATE, settings=settings("spectral"))
    power = 0.1 * 10 ** (-2.4 * np.arange(257) * 31.25 / 1000)
    analysis.__dict__["power"] = np.tile(power[:, None], (1, 5)).astype(np.float32)  # replaces the cached property
    descriptors = FRAME_FEATURES["spectral"](analysis)
    np.testing.assert_allclose(descriptors[:, 7:], -24, atol=0.1)
    np.testing.assert_allclose(descriptors[:, 6], 2.4 * 20 - 0.75, atol=0.5)  # from the first bin to that at 2 kHz
    np.testing.assert_allclose(descriptors[:, 4], 0, atol=1e-6)


@pytest.mark.parametrize("feature", ["pitch", "spectral"])
def test_level_has_no_influence(feature: str) -> None:
    """Pitch and the shape of the spectrum do not depend on the level."""
    signal = harmonics(200, ratio_db=20)
    np.testing.assert_allclose(steady(feature, signal), steady(feature, 2 * signal), rtol=0.02, atol=0.2)


def test_derivatives_of_a_decay() -> None:
    """A decay of 20 dB per second lowers each of 64 bands by 0.2 dB per frame: the first coefficient by 1.6."""
    pulses = np.zeros(RATE // 2, dtype=np.float32)
    pulses[::160] = 1  # one per hop, so that all frames are alike
    decay = (pulses * 10 ** (-np.arange(len(pulses)) / RATE)).astype(np.float32)
    _, first, second = np.split(steady("mfcc", decay)[6:-6], 3, axis=1)  # a derivative extends over four more frames
    np.testing.assert_allclose(first, np.tile([-1.6] + [0] * 19, (len(first), 1)), atol=0.01)
    np.testing.assert_allclose(second, 0, atol=0.01)


def test_golden_features() -> None:
    """Mean and deviation of every feature of a fixed signal are those of golden/features.json."""
    recorded = json.loads(regenerate.FEATURES.read_text())
    measured = regenerate.measure()
    assert list(measured) == list(recorded)
    for name, values in recorded.items():
        assert measured[name] == pytest.approx(values, rel=1e-3, abs=1e-3), name


def test_features_do_not_depend_on_threads() -> None:
    """Under ser.utils.parallel the bytes are the same for any number of BLAS threads."""

    def compute(signals: list[np.ndarray]) -> bytes:
        return frame_features(signals[0], settings(), rate=RATE).tobytes()

    results = []
    for threads in (1, 4):
        with threadpool_limits(threads):
            results += map_batches(compute, [[noise()]], description="test")
    assert results[0] == results[1]
