"""Change signals: downmix, resample, denoise, trim and normalize; measure levels.

Only this module imports soxr, noisereduce and pyloudnorm.
"""

import math
from collections.abc import Iterable, Iterator

import librosa  # whose functions are loaded on first use
import numpy as np

from ser.audio.types import MultichannelWaveform, Waveform
from ser.utils import numba_cache

numba_cache.ensure_writable()

PEAK_CEILING = 0.99
"""Level normalisation never drives a sample beyond this; 16-bit files would clip."""


def to_mono(samples: MultichannelWaveform) -> Waveform:
    """Average the channels of a (n_samples, channels) array."""
    return np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))


def resample(signal: Waveform, *, rate: int, to: int) -> Waveform:
    """Change the sample rate (both in Hz), band-limited, by the SoX resampler at high quality."""
    return signal if rate == to else np.concatenate(list(resampled_blocks([signal], rate=rate, to=to)))


def resampled_blocks(blocks: Iterable[Waveform], *, rate: int, to: int) -> Iterator[Waveform]:
    """Resample a signal that comes in blocks, to the same samples as if it came in one.

    Parameters
    ----------
    blocks
        Signals of any length, the parts of one.
    rate, to
        The sample rate that it has and the one that it gets, in Hz.

    Yields
    ------
    (n_samples,) float32
        As soon as they are known: at another rate that is some milliseconds later.
    """
    if rate == to:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate, to, num_channels=1, quality="HQ")
    n_in, n_out = 0, 0
    for block in blocks:
        n_in += len(block)
        made = stream.resample_chunk(block)
        n_out += len(made)
        yield made
    rest = stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
    yield _exactly(rest, math.ceil(n_in * (to / rate)) - n_out)


def _exactly(signal: Waveform, n_samples: int) -> Waveform:
    """Cut a signal to a length, or lengthen it with silence."""
    return np.pad(signal[:n_samples], (0, max(n_samples - len(signal), 0)))


def denoise(signal: Waveform, *, rate: int, share: float) -> Waveform:
    """Take stationary noise away by spectral gating.

    Parameters
    ----------
    signal : (n_samples,) float32
    rate
        In Hz.
    share
        Of the gated energy's amplitude that is removed, 0 (none) to 1 (all).

    References
    ----------
    Sainburg, Thielk & Gentner (2020), doi:10.1371/journal.pcbi.1008228.
    """
    if share == 0 or len(signal) < rate // 10:
        return signal
    from noisereduce import reduce_noise

    # The default padding of 30000 samples takes twice as long; frames and smoothing reach less far than 1/8 s.
    gate = {"stationary": True, "prop_decrease": share, "n_fft": 512, "padding": rate // 8}
    return reduce_noise(signal, sr=rate, **gate)


def trim(signal: Waveform, *, below_db: float | None) -> Waveform:
    """Cut both ends where frames stay more than `below_db` dB below the loudest; None keeps all."""
    if below_db is None:
        return signal
    # As librosa.effects.trim, whose module imports scikit-learn: half a second of each start of predict.py.
    frame_length, hop_length = 512, 128
    rms = librosa.feature.rms(y=signal, frame_length=frame_length, hop_length=hop_length)[0]
    loud = np.flatnonzero(librosa.amplitude_to_db(rms, ref=np.max, top_db=None) > -below_db)
    return signal[loud[0] * hop_length : (loud[-1] + 1) * hop_length]


def normalize(signal: Waveform, *, rate: int, method: str, level_db: float) -> Waveform:
    """Scale a signal to a level, but never beyond full scale.

    Parameters
    ----------
    signal : (n_samples,) float32
    rate
        In Hz.
    method
        ``peak`` and ``rms`` (dBFS), ``loudness`` (LUFS, ITU-R BS.1770-4) or ``none``.
    level_db
        The level wanted.

    Returns
    -------
    (n_samples,) float32
        A peak that would pass 0.99 is brought down to it, whatever the method.
    """
    peak = float(np.abs(signal).max())
    gain = 1.0 if method == "none" else 10 ** ((level_db - _level(signal, rate=rate, method=method)) / 20)
    return (signal * np.float32(min(gain, PEAK_CEILING / peak))).astype(np.float32)


def _level(signal: Waveform, *, rate: int, method: str) -> float:
    if method in ("peak", "rms"):
        return peak_dbfs(signal) if method == "peak" else rms_dbfs(signal)
    import pyloudnorm

    # The standard measures blocks of 0.4 s: a shorter clip is one block.
    meter = pyloudnorm.Meter(rate, block_size=min(0.4, (len(signal) - 0.5) / rate))
    loudness = float(meter.integrated_loudness(signal.astype(np.float64)))
    return loudness if np.isfinite(loudness) else rms_dbfs(signal)


def amplitude_to_db(amplitude: float) -> float:
    """Convert an amplitude to dBFS, at least -200."""
    return 20 * float(np.log10(max(amplitude, 1e-10)))


def rms_dbfs(signal: Waveform) -> float:
    """Measure the RMS level of a (n_samples,) signal, in dBFS."""
    return amplitude_to_db(float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))))


def peak_dbfs(signal: Waveform) -> float:
    """Measure the largest sample of a (n_samples,) signal, in dBFS."""
    return amplitude_to_db(float(np.abs(signal).max()))
