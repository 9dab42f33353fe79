"""Features of signals whose answer is known: a sine's band, class, level and crossings; a decay's slope."""

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
"""Frames that do not reach beyond the signal's ends."""


def settings(*frames: str, **changes: Any) -> Features:
    """Make the section `features`: these features, or all of them."""
    plain = {"window_seconds": 0.032, "hop_seconds": 0.01, "chroma": {"n_chroma": 12}}
    sizes = {"mfcc": {"n_mfcc": 20, "delta_order": 2}, "mel": {"n_mels": 64, "fmin": 50}}
    return factories.settings(
        features=plain | sizes | {"frame_features": list(frames or FRAME_FEATURES)} | changes
    ).features


def steady(feature: str, signal: np.ndarray, *, rate: int = RATE) -> np.ndarray:
    return frame_features(signal, settings(feature), rate=rate)[STEADY]


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100])
@pytest.mark.parametrize("seconds", [0.05, 0.5, 0.5051])
def test_there_is_a_frame_every_hop_and_a_column_every_name(rate: int, seconds: float) -> None:
    """A matrix has 1 + n_samples // hop rows, at any rate and length, and as many columns as there are names."""
    chosen = settings()
    signal = noise(seconds=seconds, rate=rate)
    matrix = frame_features(signal, chosen, rate=rate)
    hop = round(0.01 * rate)
    assert matrix.shape == (1 + len(signal) // hop, len(feature_names(chosen)))
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")
@pytest.mark.parametrize("n_samples", [1, 160, 4800])
@pytest.mark.parametrize("value", [0.0, 1e-20, 1.0])
def test_hardly_a_signal_has_features(n_samples: int, value: float) -> None:
    """Silence, a level too low to square, and no more than an offset, however short, give numbers throughout."""
    matrix = frame_features(np.full(n_samples, value, dtype=np.float32), settings(), rate=RATE)
    assert len(matrix) == 1 + n_samples // 160
    assert np.isfinite(matrix).all()
    everything = settings(functionals=[*COLUMN_FUNCTIONALS, *VOICED_FUNCTIONALS, *CLIP_FUNCTIONALS])
    assert np.isfinite(functionals(matrix, everything)).all()


@pytest.mark.parametrize("feature", FRAME_FEATURES)
def test_every_feature_has_the_width_of_its_names(feature: str) -> None:
    """The names of a feature alone are as many as its columns, and say whose they are."""
    chosen = settings(
        feature, mfcc={"n_mfcc": 7, "delta_order": 1}, mel={"n_mels": 10, "fmin": 0}, chroma={"n_chroma": 24}
    )
    width = {"mfcc": 14, "mel": 10, "chroma": 24, "rms": 1, "zcr": 1, "pitch": 3, "spectral": 9}[feature]
    assert feature_names(chosen) == [f"{feature}.{column}" for column in range(width)]
    assert frame_features(noise(), chosen, rate=RATE).shape == (101, width)


def test_columns_follow_the_order_of_the_settings() -> None:
    """Any subset in any order is the same columns, rearranged."""
    everything = settings()
    chosen = settings("zcr", "mfcc", "rms")
    columns = [feature_names(everything).index(name) for name in feature_names(chosen)]
    expected = frame_features(noise(), everything, rate=RATE)[:, columns]
    np.testing.assert_array_equal(frame_features(noise(), chosen, rate=RATE), expected)


@pytest.mark.parametrize("hz", [500, 1000, 3000, 7000])
def test_a_sine_is_loudest_in_its_mel_band(hz: float) -> None:
    """The band whose centre is nearest holds most of a sine."""
    centres = librosa.mel_frequencies(64 + 2, fmin=50, fmax=RATE / 2)[1:-1]
    loudest = steady("mel", sine(hz)).argmax(axis=1)
    assert set(loudest) == {np.abs(centres - hz).argmin()}


def test_a_sine_at_the_centre_of_its_band_has_its_level() -> None:
    """Mel bands are in dB of full scale: a sine's own line, at half its amplitude, and the two it spills into."""
    mel = settings("mel", mel={"n_mels": 7, "fmin": 0})
    band, centre = 3, librosa.mel_frequencies(9, fmin=0, fmax=RATE / 2)[4]
    level = frame_features(sine(centre, amplitude=0.5), mel, rate=RATE)[STEADY, band]
    np.testing.assert_allclose(level, 10 * np.log10(1.5 * 0.25**2), atol=0.5)


@pytest.mark.parametrize(("hz", "pitch_class"), [(1760, 9), (2093, 0), (2637, 4)])
def test_a_sine_is_strongest_in_its_pitch_class(hz: float, pitch_class: int) -> None:
    """A, C and E, counted from C, reach 1 in their own class and less in any other."""
    classes = steady("chroma", sine(hz))
    assert set(classes.argmax(axis=1)) == {pitch_class}
    np.testing.assert_allclose(classes.max(axis=1), 1)


@pytest.mark.parametrize("amplitude", [1.0, 0.5, 0.001])
def test_rms_is_the_level_in_db(amplitude: float) -> None:
    """A sine's level is its amplitude less 3.01 dB."""
    np.testing.assert_allclose(
        steady("rms", sine(1000, amplitude=amplitude)), 20 * np.log10(amplitude) - 3.0103, atol=0.01
    )


@pytest.mark.parametrize("feature", ["rms", "mel"])
def test_silence_has_the_lowest_level(feature: str) -> None:
    """Levels end at -80 dB."""
    np.testing.assert_allclose(steady(feature, silence(0.5)), -80, atol=1e-4)


@pytest.mark.parametrize("hz", [100, 1000, 4000])
def test_a_sine_crosses_zero_twice_a_period(hz: float) -> None:
    """The zero-crossing rate of a sine is twice its frequency over the sample rate."""
    rates = steady("zcr", sine(hz + 1))  # not in step with the samples, none of which is then exactly 0
    assert rates.mean() == pytest.approx(2 * (hz + 1) / RATE, rel=0.02)
    assert np.ptp(rates) <= 2 / 512 + 1e-9


def test_shape_of_white_noise() -> None:
    """White noise has its centre at half of the band, 85 % of its power below 85 % of it, and no slope."""
    shape = steady("spectral", noise(seconds=5)).mean(axis=0)
    centroid, bandwidth, rolloff, _, flux, alpha, _, low, high = shape
    half = RATE / 4
    assert (centroid, bandwidth) == pytest.approx((half, 2 * half / 12**0.5), rel=0.02)
    assert rolloff == pytest.approx(0.85 * 2 * half, rel=0.02)
    assert alpha == pytest.approx(10 * np.log10(4000 / 950), abs=0.5)
    assert (low, high) == pytest.approx((0, 0), abs=3)
    assert 0.3 < flux < 0.8  # neighbouring frames share two thirds of their samples


def test_shape_of_a_sine() -> None:
    """A sine of 3 kHz is where it is, narrow, unlike noise, does not change, and lies above 1 and 2 kHz."""
    centroid, bandwidth, rolloff, flatness, flux, alpha, hammarberg, _, _ = steady("spectral", sine(3000)).mean(axis=0)
    assert (centroid, rolloff) == pytest.approx((3000, 3000), abs=32)
    assert bandwidth < 100
    assert flatness < -40
    assert flux < 0.01
    assert alpha > 40
    assert hammarberg < -40


def test_slope_of_a_spectrum_that_falls() -> None:
    """Power that falls by 6 dB each 250 Hz has slopes of -24 dB per kHz, and is the louder the lower."""
    framed = FrameAnalysis(signal=noise(), rate=RATE, settings=settings("spectral"))
    power = 0.1 * 10 ** (-2.4 * np.arange(257) * 31.25 / 1000)
    framed.__dict__["power"] = np.tile(power[:, None], (1, 5)).astype(np.float32)  # in place of the property's value
    shape = FRAME_FEATURES["spectral"](framed)
    np.testing.assert_allclose(shape[:, 7:], -24, atol=0.1)
    np.testing.assert_allclose(shape[:, 6], 2.4 * 20 - 0.75, atol=0.5)  # from the first bin to that at 2 kHz
    np.testing.assert_allclose(shape[:, 4], 0, atol=1e-6)


@pytest.mark.parametrize("feature", ["pitch", "spectral"])
def test_level_does_not_matter(feature: str) -> None:
    """Pitch and the shape of the spectrum are those of a sound, not of its level."""
    sound = harmonics(200, ratio_db=20)
    np.testing.assert_allclose(steady(feature, sound), steady(feature, 2 * sound), rtol=0.02, atol=0.2)


def test_derivatives_of_a_decay_are_its_slope() -> None:
    """Fading by 20 dB a second lowers each of 64 bands by 0.2 dB a frame: the first coefficient by 1.6, no other."""
    pulses = np.zeros(RATE // 2, dtype=np.float32)
    pulses[::160] = 1  # once a hop, so that all frames are alike
    fading = (pulses * 10 ** (-np.arange(len(pulses)) / RATE)).astype(np.float32)
    mfcc = steady("mfcc", fading)[6:-6]  # four more frames at either end, on which a derivative looks
    static, first, second = np.split(mfcc, 3, axis=1)
    expected = np.array([-1.6] + [0] * 19)
    np.testing.assert_allclose(np.diff(static, axis=0), np.tile(expected, (len(static) - 1, 1)), atol=0.01)
    np.testing.assert_allclose(first, np.tile(expected, (len(first), 1)), atol=0.01)
    np.testing.assert_allclose(second, 0, atol=0.01)


def test_derivatives_of_a_ramp_are_its_slope() -> None:
    """Where coefficients rise along lines, the first derivative is the lines' slopes and the second is nothing."""
    framed = FrameAnalysis(signal=noise(), rate=RATE, settings=settings("mfcc"))
    start, slope = np.random.default_rng(0).standard_normal((2, 64, 1)).astype(np.float32)
    framed.__dict__["log_mel"] = start + slope * np.arange(30)  # in place of the property's value
    static, first, second = np.split(FRAME_FEATURES["mfcc"](framed), 3, axis=1)
    np.testing.assert_allclose(first[4:-4], np.diff(static, axis=0)[4:-3], atol=1e-4)
    np.testing.assert_allclose(second[4:-4], 0, atol=1e-4)


def test_features_are_those_on_record() -> None:
    """Every feature of a fixed signal has the mean and the deviation written down in golden/features.json."""
    recorded = json.loads(regenerate.FEATURES.read_text())
    measured = regenerate.measure()
    assert list(measured) == list(recorded)
    for name, values in recorded.items():
        assert measured[name] == pytest.approx(values, rel=1e-3, abs=1e-3), name


def all_features(signals: list[np.ndarray]) -> list[bytes]:
    return [frame_features(signal, settings(), rate=RATE).tobytes() for signal in signals]


def test_features_do_not_depend_on_threads() -> None:
    """Under ser.utils.parallel a clip has the same bytes whatever the number of BLAS threads around it."""
    made = []
    for threads in (1, 4):
        with threadpool_limits(threads):
            made.append(list(map_batches(all_features, [[noise(), sine(440)]], description="test")))
    assert made[0] == made[1]
