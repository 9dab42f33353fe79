"""Downmix, resample, denoise, trim and normalize signals; measure levels.

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
"""Maximum peak after normalization, so that 16-bit files do not clip."""
PHASE_SAMPLES, MIN_PHASE_ENERGY = 1 << 13, 1e-8
"""Length of the parts of a recording that are checked for opposite phase, and their minimum energy (-80 dBFS)."""
MIN_MIX_ENERGY = 0.12
"""Minimum energy of the mean of two channels, relative to theirs; 0.5 without and 0.05 with a correlation of -0.9."""


def to_mono(samples: MultichannelWaveform) -> Waveform:
    """Average the channels: (n_samples, n_channels) -> (n_samples,)."""
    return np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))


def downmix(blocks: Iterable[MultichannelWaveform], *, flags: list[str]) -> Iterator[Waveform]:
    """Convert blocks of shape (n_samples, n_channels) to mono.

    A mean with less than `MIN_MIX_ENERGY` of the energy of the channels shows opposite phase, except in silence, where
    codecs leave noise. In such a part of `PHASE_SAMPLES`, channels opposite to the loudest one are inverted first, and
    ``opposite_phase`` is added to the flags.
    """
    for block in blocks:
        mono = to_mono(block)
        for start in range(0, len(block) if block.shape[1] > 1 else 0, PHASE_SAMPLES):
            part, mixed = block[start : start + PHASE_SAMPLES], mono[start : start + PHASE_SAMPLES]
            energy = np.square(part, dtype=np.float64).mean(axis=0)
            mix_energy = np.square(mixed, dtype=np.float64).mean()
            if mix_energy < MIN_MIX_ENERGY * energy.mean() and energy.mean() > MIN_PHASE_ENERGY:
                similarity = np.asarray(part, dtype=np.float64).T @ part[:, int(energy.argmax())]
                mixed[:] = to_mono(part * np.where(similarity < 0, -1, 1).astype(np.float32))
                if "opposite_phase" not in flags:
                    flags.append("opposite_phase")
        yield mono


def mix(samples: MultichannelWaveform) -> Waveform:
    """Convert (n_samples, n_channels) to mono, as by `downmix`."""
    [mono] = downmix([samples], flags=[])
    return mono


def resample(signal: Waveform, *, rate: int, to: int) -> Waveform:
    """Resample a signal from one sample rate in Hz to another."""
    return signal if rate == to else np.concatenate(list(resampled_blocks([signal], rate=rate, to=to)))


def resampled_blocks(blocks: Iterable[Waveform], *, rate: int, to: int) -> Iterator[Waveform]:
    """Resample a signal block by block, with the same result as for the whole signal (SoX resampler, high quality).

    Parameters
    ----------
    blocks : iterable of ndarray of shape (n_samples,), float32
        Consecutive blocks of any length.
    rate, to : int
        Original and target sample rate in Hz.

    Yields
    ------
    ndarray of shape (n_samples,), float32
        Delayed by some milliseconds if the rates differ.
    """
    if rate == to:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate, to, num_channels=1, quality="HQ")
    n_in, n_out = 0, 0
    for block in blocks:
        n_in += len(block)
        resampled = stream.resample_chunk(block)
        n_out += len(resampled)
        yield resampled
    rest = stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
    n_rest = math.ceil(n_in * (to / rate)) - n_out
    yield np.pad(rest[:n_rest], (0, max(n_rest - len(rest), 0)))


def denoise(signal: Waveform, *, rate: int, prop_decrease: float) -> Waveform:
    """Reduce stationary noise by spectral gating.

    Parameters
    ----------
    signal : ndarray of shape (n_samples,), float32
        Mono signal. If shorter than 0.1 s, it is returned unchanged.
    rate : int
        Sample rate in Hz.
    prop_decrease : float
        Fraction of the noise amplitude to remove, from 0 (none) to 1 (all).

    References
    ----------
    Sainburg, Thielk & Gentner (2020), doi:10.1371/journal.pcbi.1008228.
    """
    if prop_decrease == 0 or len(signal) < rate // 10:
        return signal
    from noisereduce import reduce_noise

    # The default padding of 30000 samples doubles the time; frames and smoothing extend over less than 1/8 s.
    gate = {"stationary": True, "prop_decrease": prop_decrease, "n_fft": 512, "padding": rate // 8}
    return reduce_noise(signal, sr=rate, **gate)


def trim(signal: Waveform, *, top_db: float | None) -> Waveform:
    """Trim leading and trailing frames more than `top_db` dB below the loudest frame; None trims nothing."""
    if top_db is None:
        return signal
    # As librosa.effects.trim, whose module imports scikit-learn: half a second of each start of predict.py.
    frame_length, hop_length = 512, 128
    rms = librosa.feature.rms(y=signal, frame_length=frame_length, hop_length=hop_length)[0]
    loud = np.flatnonzero(librosa.amplitude_to_db(rms, ref=np.max, top_db=None) > -top_db)
    return signal[loud[0] * hop_length : (loud[-1] + 1) * hop_length]


def normalize(signal: Waveform, *, rate: int, method: str, target_db: float) -> Waveform:
    """Scale a signal of shape (n_samples,) to a level.

    Parameters
    ----------
    method : str
        ``peak`` or ``rms`` (dBFS), ``loudness`` (LUFS, ITU-R BS.1770-4) or ``none``.
    target_db : float
        Target level.

    Returns
    -------
    ndarray of shape (n_samples,), float32
        With a peak of at most `PEAK_CEILING`, for every method.
    """
    peak = float(np.abs(signal).max())
    gain = 1.0 if method == "none" else 10 ** ((target_db - _level(signal, rate=rate, method=method)) / 20)
    return (signal * np.float32(min(gain, PEAK_CEILING / peak))).astype(np.float32)


def _level(signal: Waveform, *, rate: int, method: str) -> float:
    if method in ("peak", "rms"):
        return peak_dbfs(signal) if method == "peak" else rms_dbfs(signal)
    import pyloudnorm

    # The standard measures blocks of 0.4 s; a shorter clip is a single block.
    meter = pyloudnorm.Meter(rate, block_size=min(0.4, (len(signal) - 0.5) / rate))
    loudness = float(meter.integrated_loudness(signal.astype(np.float64)))
    return loudness if np.isfinite(loudness) else rms_dbfs(signal)


def amplitude_to_db(amplitude: float) -> float:
    """Convert an amplitude to dBFS, at least -200."""
    return 20 * float(np.log10(max(amplitude, 1e-10)))


def rms_dbfs(signal: Waveform) -> float:
    """Compute the RMS level of a signal of shape (n_samples,) in dBFS."""
    return amplitude_to_db(float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))))


def peak_dbfs(signal: Waveform) -> float:
    """Compute the peak level of a signal of shape (n_samples,) in dBFS."""
    return amplitude_to_db(float(np.abs(signal).max()))
