"""Make clips of recordings: decode, downmix, resample, denoise, trim, normalize."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.audio.effects import amplitude_to_db, denoise, normalize, peak_dbfs, resample, resampled_blocks, to_mono, trim
from ser.audio.io import NoSpeechError, open_recording, read_blocks
from ser.audio.types import Waveform
from ser.params import Preprocess

SILENCE_DB = -80.0
"""A recording whose largest sample stays below this (dBFS) holds nothing."""


@dataclass(frozen=True)
class AudioStats:
    """What a recording was like: rate in Hz, channels, seconds, RMS level and peak in dBFS of the channels' mean."""

    sample_rate: int
    channels: int
    seconds: float
    level_db: float
    peak_db: float


class _LevelMeter:
    """Measures a signal that passes by in blocks."""

    def __init__(self) -> None:
        self._n_samples, self._energy, self._peak = 0, 0.0, 0.0

    def watch(self, blocks: Iterable[Waveform]) -> Iterator[Waveform]:
        for block in blocks:
            self._n_samples += len(block)
            self._energy += float(np.square(block, dtype=np.float64).sum())
            self._peak = max(self._peak, float(np.abs(block).max()))
            yield block

    def read(self, *, rate: int, channels: int) -> AudioStats:
        level = float(np.sqrt(self._energy / self._n_samples))
        return AudioStats(rate, channels, self._n_samples / rate, amplitude_to_db(level), amplitude_to_db(self._peak))


def clean(recording: Path | bytes, settings: Preprocess) -> Waveform:
    """Make a clip of a recording; `clean_and_measure` without the measures."""
    return clean_and_measure(recording, settings)[0]


def clean_and_measure(recording: Path | bytes, settings: Preprocess) -> tuple[Waveform, AudioStats]:
    """Make a clip of a recording: decode, downmix, resample, denoise, trim, normalize.

    Parameters
    ----------
    recording
        A file, or the bytes of one.
    settings
        The section `preprocess` of the settings.

    Returns
    -------
    signal : (n_samples,) float32
        At ``settings.sample_rate``.
    original : Original
        What the recording was like.

    Raises
    ------
    AudioError
        With the reason why the recording is unusable.
    """
    meter = _LevelMeter()
    with open_recording(recording) as (file, stream):
        _check_length(file.frames, rate=file.samplerate, least=settings.min_duration)
        blocks = meter.watch(to_mono(block) for block in read_blocks(file, stream))
        resampled = resampled_blocks(blocks, rate=file.samplerate, to=settings.sample_rate)
        signal = np.concatenate(list(resampled))
        original = meter.read(rate=file.samplerate, channels=file.channels)
    return apply_effects(signal, settings), original


def clean_signal(signal: Waveform, settings: Preprocess, *, rate: int) -> Waveform:
    """Make a clip of a (n_samples,) float32 signal at any rate in Hz, as `clean` makes one of a recording."""
    _check_length(len(signal), rate=rate, least=settings.min_duration)
    return apply_effects(resample(signal, rate=rate, to=settings.sample_rate), settings)


def apply_effects(signal: Waveform, settings: Preprocess) -> Waveform:
    """Denoise, trim and normalize a signal at the clips' rate.

    Raises
    ------
    AudioError
        If it is silent or too short.
    """
    signal = denoise(signal, rate=settings.sample_rate, share=settings.denoise_strength)
    # Only now: what lay beyond the new rate's band, or was but noise, is gone.
    if peak_dbfs(signal) < SILENCE_DB:
        raise NoSpeechError(f"all silence (no sample above {SILENCE_DB:g} dBFS)", flag="silence")
    signal = trim(signal, below_db=settings.trim_top_db)
    _check_length(len(signal), rate=settings.sample_rate, least=settings.min_duration)
    return normalize(signal, rate=settings.sample_rate, method=settings.normalize, level_db=settings.target_level_db)


def _check_length(n_samples: int, *, rate: int, least: float) -> None:
    seconds = n_samples / rate
    if seconds < least:
        reason = f"too short: {seconds:.2f} s without silence at the ends, at least {least:g} s are needed"
        raise NoSpeechError(reason, flag="too_short")
