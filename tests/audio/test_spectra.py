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


def test_fast_lengths_are_scipys() -> None:
    """The next length of small factors is the one that SciPy pads to."""
    from scipy.fft import next_fast_len

    assert all(spectra.fast_length(size) == next_fast_len(size, real=True) for size in range(1, 2000))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("seconds", "window", "hop"), [(0.7, 0.032, 0.01), (0.02, 0.032, 0.01), (0.5, 0.01, 0.02)])
def test_a_power_spectrogram_is_librosas(rate: int, seconds: float, window: float, hop: float) -> None:
    """Of long signals and of ones shorter than a window, with frames that overlap and frames that do not."""
    import librosa

    signal, size, step = voice(round(seconds * rate), rate=rate), 2 * round(window * rate / 2), round(hop * rate)
    weights = spectra.hann(size) / spectra.hann(size).sum()
    found = librosa.stft(signal, n_fft=size, hop_length=step, window=weights, pad_mode="constant")
    np.testing.assert_allclose(
        spectra.power(signal, size=size, hop=step), np.square(np.abs(found)), rtol=1e-5, atol=1e-12
    )


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("bands", "low_hz"), [(64, 50.0), (26, 0.0), (40, 1200.0)])
def test_mel_bands_are_librosas(rate: int, bands: int, low_hz: float) -> None:
    """Triangles stand where librosa puts them, below and above the knee of the scale."""
    from librosa.filters import mel

    expected = mel(sr=rate, n_fft=512, n_mels=bands, fmin=low_hz, norm=None)
    np.testing.assert_allclose(spectra.mel_bank(rate=rate, size=512, bands=bands, low_hz=low_hz), expected, atol=1e-7)


@pytest.mark.parametrize("below_db", [10, 40, 120])
@pytest.mark.parametrize("n_samples", [600, 5000, 16000])
def test_the_loud_part_is_librosas(n_samples: int, below_db: float) -> None:
    """Both ends of a clip are cut where librosa cuts them."""
    from librosa.effects import trim

    signal = voice(n_samples, rate=16000)
    expected = trim(signal, top_db=below_db, frame_length=512, hop_length=128)[1]
    found = spectra.loud_part(signal, below_db=below_db, size=512, hop=128)
    assert (found.start, found.stop) == tuple(expected)


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
