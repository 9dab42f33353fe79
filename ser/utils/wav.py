"""Encode 16-bit WAV files and synthesize a test tone, without an audio library."""

import io
import wave

import numpy as np
import numpy.typing as npt


def wav_bytes(samples: npt.NDArray[np.int16], *, rate: int) -> bytes:
    """Encode a mono signal, of shape (n_samples,) and at `rate` Hz, as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def harmonic_tone(*, seconds: float, rate: int, n_harmonics: int, pitch: float = 120) -> npt.NDArray[np.float64]:
    """Synthesize a harmonic tone whose amplitudes fall as 1/n, similar to a voiced sound.

    Parameters
    ----------
    rate : int
        Sample rate in Hz.
    n_harmonics : int
        Number of harmonics, including the fundamental.
    pitch : float
        Fundamental frequency in Hz.

    Returns
    -------
    ndarray of shape (n_samples,)
        Signal; the fundamental has amplitude 1.
    """
    times = np.arange(round(seconds * rate)) / rate
    tone = np.zeros(len(times))
    for n in range(1, n_harmonics + 1):
        tone += np.sin(2 * np.pi * pitch * n * times) / n
    return tone
