"""What is computed by NumPy alone is what librosa, SciPy and noisereduce compute."""

import numpy as np
import pytest

from ser.audio import spectra

RATES = [8000, 16000, 22050, 48000]


def voice(n_samples: int, *, rate: int, seed: int = 0) -> spectra.Array:
    """Make a hum that starts late and ends early, in noise: something to gate and to trim."""
    rng = np.random.default_rng(seed)
    times = np.arange(n_samples) / rate
    hum = np.sin(2 * np.pi * 220 * times) * np.exp(-(((times / times[-1] - 0.5) * 4) ** 4))
    return (0.3 * hum + 0.001 * rng.normal(size=n_samples)).astype(np.float32)


@pytest.mark.parametrize("size", [2, 320, 512, 739])
def test_a_window_is_scipys(size: int) -> None:
    """A Hann window is the periodic one."""
    from scipy.signal import get_window

    np.testing.assert_array_equal(spectra.hann(size), get_window("hann", size))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("seconds", [0.1, 0.777])
def test_gates_are_those_of_noisereduce(rate: int, share: float, seconds: float) -> None:
    """Noise is taken away as noisereduce does, at every rate."""
    check_gates(voice(round(seconds * rate), rate=rate), rate=rate, share=share)


def test_gates_of_what_is_longer_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long signal is gated chunk by chunk, each with its neighbours around it, by the noise of the first."""
    monkeypatch.setattr(spectra, "CHUNK", 7000)
    check_gates(voice(16000, rate=16000), rate=16000, share=0.5, chunk_size=7000)


def check_gates(signal: spectra.Array, *, rate: int, share: float, **changes: int) -> None:
    from noisereduce.noisereduce import reduce_noise

    expected = reduce_noise(
        signal, sr=rate, stationary=True, prop_decrease=share, n_fft=512, padding=rate // 8, **changes
    )
    found = spectra.gated(signal, rate=rate, share=share)
    assert found.dtype == np.float32
    assert np.abs(found - signal).max() > 1e-4  # something was taken away
    np.testing.assert_allclose(found, expected, atol=1e-7)
