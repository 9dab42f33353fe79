"""Encoded WAV files can be decoded, and a tone has its harmonics."""

import io

import numpy as np
import soundfile

from ser.utils.wav import harmonic_tone, wav_bytes


def test_samples_are_decoded_unchanged() -> None:
    """Samples and sample rate are the same."""
    samples = np.array([0, 1, -1, 32767, -32768], dtype=np.int16)
    decoded, rate = soundfile.read(io.BytesIO(wav_bytes(samples, rate=8000)), dtype="int16")
    assert rate == 8000
    np.testing.assert_array_equal(decoded, samples)


def test_a_tone_has_harmonics() -> None:
    """The spectrum has lines at multiples n of the pitch, with amplitudes 1/n."""
    tone = harmonic_tone(seconds=1, rate=8000, n_harmonics=3, pitch=200)
    amplitudes = np.abs(np.fft.rfft(tone)) / 4000
    assert list(np.flatnonzero(amplitudes > 1e-6)) == [200, 400, 600]
    np.testing.assert_allclose(amplitudes[[200, 400, 600]], [1, 1 / 2, 1 / 3])
