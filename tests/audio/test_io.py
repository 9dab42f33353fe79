"""Formats of libsndfile are decoded, and FLAC keeps 16 bits."""

from pathlib import Path

import numpy as np
import pytest

from ser.audio import io as audio_io
from tests.helpers.signals import RATE, encode, noise, sine

TONE = sine(440, seconds=0.5)


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "FLOAT", 0),
        ("FLAC", "PCM_16", 2**-15),
        ("OGG", "VORBIS", 0.05),
    ],
)
def test_format_is_identified_by_content(kind: str, subtype: str, tolerance: float, tmp_path: Path) -> None:
    """A file named .wav has the samples and the rate that were encoded, in any format."""
    file = tmp_path / "tone.wav"
    file.write_bytes(encode(TONE, rate=24414, kind=kind, subtype=subtype))
    samples, rate = audio_io.decode(file)
    assert (samples.shape, samples.dtype, rate) == ((len(TONE), 1), np.float32, 24414)
    np.testing.assert_allclose(samples[:, 0], TONE, atol=tolerance)


def test_flac_has_16_bits() -> None:
    """Encoding is deterministic, rounds once, and clips at full scale."""
    signal = np.append(np.clip(noise(level_db=-10), -0.99, 0.99), np.array([1, -1, 1.5, -1.5], dtype=np.float32))
    decoded = audio_io.from_flac(audio_io.to_flac(signal, rate=RATE))
    assert decoded.dtype == np.float32
    assert np.abs(decoded - signal)[:-4].max() <= 2**-16
    np.testing.assert_allclose(decoded[-4:], [1, -1, 1, -1], atol=2**-15)
    np.testing.assert_array_equal(audio_io.from_flac(audio_io.to_flac(decoded, rate=RATE)), decoded)
    assert audio_io.to_flac(signal, rate=RATE) == audio_io.to_flac(signal, rate=RATE)
