"""Convert recordings to clean mono clips: decode, downmix, resample, denoise, trim, normalize."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.audio.effects import amplitude_to_db, denoise, normalize, peak_dbfs, resample, resampled_blocks, to_mono, trim
from ser.audio.io import NoSpeechError, open_recording, read_blocks
from ser.audio.types import Waveform
from ser.params import Preprocess

SILENCE_DB = -80.0
"""Peak in dBFS below which a recording counts as silent."""


@dataclass(frozen=True)
class AudioStats:
    """Statistics of a recording: sample rate in Hz, channels, seconds, RMS level and peak of the mono mix in dBFS."""

    sample_rate: int
    channels: int
    seconds: float
    level_db: float
    peak_db: float


class _LevelMeter:
    """Accumulate the length, energy and peak of a signal while its blocks are processed."""

    def __init__(self) -> None:
        self._n_samples, self._energy, self._peak = 0, 0.0, 0.0

    def measure(self, blocks: Iterable[Waveform]) -> Iterator[Waveform]:
        for block in blocks:
            self._n_samples += len(block)
            self._energy += float(np.square(block, dtype=np.float64).sum())
            self._peak = max(self._peak, float(np.abs(block).max()))
            yield block

    def stats(self, *, rate: int, channels: int) -> AudioStats:
        level = float(np.sqrt(self._energy / self._n_samples))
        return AudioStats(rate, channels, self._n_samples / rate, amplitude_to_db(level), amplitude_to_db(self._peak))


def clean_and_measure(recording: Path | bytes, settings: Preprocess) -> tuple[Waveform, AudioStats]:
    """Convert a recording to a clip: decode, downmix, resample, denoise, trim, normalize.

    Parameters
    ----------
    recording : Path or bytes
        An audio file or its content.
    settings : Preprocess
        Section `preprocess` of the parameters.

    Returns
    -------
    signal : ndarray of shape (n_samples,), float32
        Clip at ``settings.sample_rate``.
    stats : AudioStats
        Statistics of the recording.

    Raises
    ------
    AudioError
        If the recording is unusable; the message is the reason.
    """
    meter = _LevelMeter()
    with open_recording(recording) as (file, stream):
        _check_duration(file.frames, rate=file.samplerate, min_duration=settings.min_duration)
        blocks = meter.measure(to_mono(block) for block in read_blocks(file, stream))
        resampled = resampled_blocks(blocks, rate=file.samplerate, to=settings.sample_rate)
        signal = np.concatenate(list(resampled))
        stats = meter.stats(rate=file.samplerate, channels=file.channels)
    return apply_effects(signal, settings), stats


def clean_signal(signal: Waveform, settings: Preprocess, *, rate: int) -> Waveform:
    """Convert a signal of shape (n_samples,) at a sample rate in Hz to a clip; raises as `apply_effects`."""
    _check_duration(len(signal), rate=rate, min_duration=settings.min_duration)
    return apply_effects(resample(signal, rate=rate, to=settings.sample_rate), settings)


def apply_effects(signal: Waveform, settings: Preprocess) -> Waveform:
    """Denoise, trim and normalize a signal of shape (n_samples,) at ``settings.sample_rate``.

    Raises
    ------
    NoSpeechError
        If the signal is silent or too short.
    """
    signal = denoise(signal, rate=settings.sample_rate, prop_decrease=settings.denoise_strength)
    if peak_dbfs(signal) < SILENCE_DB:  # after the removal of noise and of frequencies beyond the band
        raise NoSpeechError(f"all silence (no sample above {SILENCE_DB:g} dBFS)", flag="silence")
    signal = trim(signal, top_db=settings.trim_top_db)
    _check_duration(len(signal), rate=settings.sample_rate, min_duration=settings.min_duration)
    return normalize(signal, rate=settings.sample_rate, method=settings.normalize, target_db=settings.target_level_db)


def _check_duration(n_samples: int, *, rate: int, min_duration: float) -> None:
    seconds = n_samples / rate
    if seconds < min_duration:
        reason = f"too short: {seconds:.2f} s without silence at the ends, at least {min_duration:g} s are needed"
        raise NoSpeechError(reason, flag="too_short")
