"""Whatever libsndfile decodes is decoded; what is encoded comes back as it was."""

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
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "FLOAT", 0),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
        ("AIFF", "PCM_16", 2**-15),
        ("OGG", "VORBIS", 0.05),
    ],
)
def test_content_is_decoded_whatever_the_suffix(kind: str, subtype: str, tolerance: float, tmp_path: Path) -> None:
    """A file named .wav gives the samples and the rate that were encoded, in any format and width."""
    file = tmp_path / "tone.wav"
    file.write_bytes(encode(TONE, rate=24414, kind=kind, subtype=subtype))
    samples, rate = audio_io.decode(file)
    assert (samples.shape, samples.dtype, rate) == ((len(TONE), 1), np.float32, 24414)
    np.testing.assert_allclose(samples[:, 0], TONE, atol=tolerance)


def test_a_streamed_wav_is_read() -> None:
    """A WAV whose header leaves the length open, as programs write it to a pipe, is whole."""
    streamed = encode(TONE)[:40] + b"\xff" * 4 + encode(TONE)[44:]
    assert len(audio_io.decode(streamed)[0]) == len(TONE)


def test_flac_holds_the_signal_in_16_bits() -> None:
    """Encoding loses no more than half a step of 16 bits, once; samples beyond full scale do not wrap round."""
    signal = np.clip(noise(level_db=-10), -0.99, 0.99)
    once = audio_io.from_flac(audio_io.to_flac(signal, rate=RATE))
    assert once.dtype == np.float32
    assert np.abs(once - signal).max() <= 2**-16
    np.testing.assert_array_equal(audio_io.from_flac(audio_io.to_flac(once, rate=RATE)), once)
    beyond = np.array([1, -1, 1.5, -1.5], dtype=np.float32)
    np.testing.assert_allclose(audio_io.from_flac(audio_io.to_flac(beyond, rate=RATE)), [1, -1, 1, -1], atol=2**-15)


def test_flac_has_the_same_bytes_every_time() -> None:
    """Equal signals are equal files."""
    assert audio_io.to_flac(noise(), rate=RATE) == audio_io.to_flac(noise(), rate=RATE)
