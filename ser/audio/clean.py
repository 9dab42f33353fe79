"""Convert recordings to clean mono clips: decode, downmix, resample, denoise, split into segments, trim, normalize."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ser.audio.effects import amplitude_to_db, denoise, normalize, peak_dbfs, resampled_blocks, trim
from ser.audio.io import NoSpeechError, from_array, open_recording
from ser.audio.segmentation import PASSAGE_SECONDS, find_segments, quietest_position
from ser.audio.types import Waveform
from ser.audio.vad import Segment, frame_levels_db
from ser.params import Preprocess

SILENCE_DB = -80.0
"""Peak in dBFS below which a recording counts as silent."""
CLIPPING_LEVEL = 0.985
"""Absolute value from which a sample counts as clipped."""


@dataclass(frozen=True)
class AudioStats:
    """Statistics of a recording: sample rate in Hz, channels, seconds, RMS level and peak of the mono mix in dBFS.

    `n_clipped` is the number of samples of the mono mix from `CLIPPING_LEVEL`, `flags` are those of
    `ser.audio.io.OpenRecording`.
    """

    sample_rate: int
    channels: int
    seconds: float
    level_db: float
    peak_db: float
    n_clipped: int
    flags: tuple[str, ...] = ()


class LevelMeter:
    """Accumulate the length, energy and peak of a recording while its blocks are processed."""

    def __init__(self) -> None:
        self._rate, self._channels = 1, 1
        self._flags: Sequence[str] = ()
        self._n_samples, self._n_clipped, self._energy, self._peak = 0, 0, 0.0, 0.0

    def measure(
        self, blocks: Iterable[Waveform], *, rate: int, channels: int, flags: Sequence[str] = ()
    ) -> Iterator[Waveform]:
        """Pass on the mono blocks of a recording with a sample rate in Hz, a number of channels, and flags."""
        self._rate, self._channels, self._flags = rate, channels, flags
        for block in blocks:
            self._n_samples += len(block)
            self._energy += float(np.square(block, dtype=np.float64).sum())
            self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
            self._n_clipped += int((np.abs(block) >= CLIPPING_LEVEL).sum())
            yield block

    def stats(self) -> AudioStats:
        """Return the statistics of all blocks so far."""
        level = amplitude_to_db(float(np.sqrt(self._energy / max(self._n_samples, 1))))
        seconds = self._n_samples / self._rate
        peak = amplitude_to_db(self._peak)
        return AudioStats(self._rate, self._channels, seconds, level, peak, self._n_clipped, tuple(self._flags))


class Segmenter:
    """Convert a signal that arrives in blocks to clean segments of speech.

    It is processed in passages of up to `PASSAGE_SECONDS`, so results do not depend on the length of the blocks.

    Attributes
    ----------
    error : NoSpeechError, optional
        Why the last passage without segments has none.
    """

    def __init__(self, settings: Preprocess) -> None:
        self._settings = settings
        self._pending: Waveform = np.empty(0, dtype=np.float32)
        self.error: NoSpeechError | None = None

    def update(self, block: Waveform) -> list[Waveform]:
        """Add the next block, of shape (n_samples,) at ``settings.sample_rate``, and return the segments that ended."""
        self._pending = np.concatenate([self._pending, block])
        rate, segments = self._settings.sample_rate, []
        while len(self._pending) > PASSAGE_SECONDS * rate:
            passage = self._pending[: round(PASSAGE_SECONDS * rate)]
            levels = frame_levels_db(passage, rate=rate)
            cut = round(rate * quietest_position(levels, start=PASSAGE_SECONDS / 2, end=PASSAGE_SECONDS - 1))
            segments += self._clean(passage[:cut])
            self._pending = self._pending[cut:]
        return segments

    def close(self) -> list[Waveform]:
        """End the signal and return its last segments."""
        rest, self._pending = self._pending, self._pending[:0]
        return self._clean(rest)

    def _clean(self, passage: Waveform) -> list[Waveform]:
        try:
            return clean_segments(passage, self._settings)
        except NoSpeechError as error:
            self.error = error
            return []


def read_segments(
    recording: Path | bytes | tuple[npt.ArrayLike, int], settings: Preprocess, *, meter: LevelMeter
) -> Iterator[list[Waveform]]:
    """Convert a recording to clean segments of speech, in constant memory.

    Parameters
    ----------
    recording : Path, bytes, or tuple of array-like and int
        An audio file or its content; or samples, as for `ser.audio.io.from_array`, and their sample rate in Hz.
    settings : Preprocess
        Section `preprocess` of the parameters. With ``max_segment_seconds: null``, segments are passages of up to
        `ser.audio.segmentation.PASSAGE_SECONDS`.
    meter : LevelMeter
        Measures the recording.

    Yields
    ------
    list of ndarray of shape (n_samples,), float32
        The next segments at ``settings.sample_rate``.

    Raises
    ------
    NoSpeechError
        If there is no segment in the whole recording.
    AudioError
        If the recording is unusable; the message is the reason.
    """
    if isinstance(recording, tuple):
        samples, rate = recording
        flags: list[str] = []
        signal = from_array(samples, rate=rate, flags=flags)
        channels = 1 if np.ndim(samples) == 1 else np.shape(samples)[1]
        measured = meter.measure([signal], rate=rate, channels=channels, flags=flags)
        yield from _segments(measured, settings, rate=rate)
        return
    with open_recording(recording) as file:
        measured = meter.measure(file.mono_blocks(), rate=file.samplerate, channels=file.channels, flags=file.flags)
        yield from _segments(measured, settings, rate=file.samplerate)


def _segments(blocks: Iterable[Waveform], settings: Preprocess, *, rate: int) -> Iterator[list[Waveform]]:
    segmenter, found = Segmenter(settings), False
    for block in resampled_blocks(blocks, rate=rate, to=settings.sample_rate):
        segments = segmenter.update(block)
        found = found or bool(segments)
        yield segments
    segments = segmenter.close()
    if segmenter.error and not (found or segments):
        raise segmenter.error
    yield segments


def clean_and_measure(recording: Path | bytes, settings: Preprocess) -> tuple[list[Waveform], AudioStats]:
    """Convert a recording to clean segments of speech, and measure it; raises as `read_segments`.

    Returns
    -------
    segments : list of ndarray of shape (n_samples,), float32
        At least one, at ``settings.sample_rate``.
    stats : AudioStats
        Statistics of the recording.
    """
    meter = LevelMeter()
    segments = [segment for part in read_segments(recording, settings, meter=meter) for segment in part]
    return segments, meter.stats()


def clean_segments(signal: Waveform, settings: Preprocess) -> list[Waveform]:
    """Denoise a signal of shape (n_samples,), split it at pauses, and trim and normalize each segment.

    Raises
    ------
    NoSpeechError
        If the signal is silent or too short.
    """
    if settings.max_segment_seconds is None:
        return [apply_effects(signal, settings)]
    rate = settings.sample_rate
    signal = _denoise(signal, settings)
    return _trim_and_normalize(
        signal, find_segments(signal, rate=rate, max_seconds=settings.max_segment_seconds), settings
    )


def apply_effects(signal: Waveform, settings: Preprocess) -> Waveform:
    """Denoise, trim and normalize a signal of shape (n_samples,) as a single clip; raises as `clean_segments`."""
    whole = Segment(0, len(signal) / settings.sample_rate)
    return _trim_and_normalize(_denoise(signal, settings), [whole], settings)[0]


def _denoise(signal: Waveform, settings: Preprocess) -> Waveform:
    _check_duration(len(signal), settings)
    signal = denoise(signal, rate=settings.sample_rate, prop_decrease=settings.denoise_strength)
    if peak_dbfs(signal) < SILENCE_DB:  # after the removal of noise and of frequencies beyond the band
        raise NoSpeechError(f"all silence (no sample above {SILENCE_DB:g} dBFS)", flag="silence")
    return signal


def _trim_and_normalize(signal: Waveform, segments: Sequence[Segment], settings: Preprocess) -> list[Waveform]:
    """Cut, trim and normalize segments; those that are too short are dropped if another one is not."""
    rate = settings.sample_rate
    scale = partial(normalize, rate=rate, method=settings.normalize, target_db=settings.target_level_db)
    cut = [signal[round(segment.start * rate) : round(segment.end * rate)] for segment in segments]
    trimmed = [trim(part, top_db=settings.trim_top_db) for part in cut if peak_dbfs(part) >= SILENCE_DB]
    _check_duration(max(map(len, trimmed), default=0), settings)
    return [scale(part) for part in trimmed if len(part) >= settings.min_duration * rate]


def _check_duration(n_samples: int, settings: Preprocess) -> None:
    seconds = n_samples / settings.sample_rate
    if seconds < settings.min_duration:
        needed = f"at least {settings.min_duration:g} s are needed"
        raise NoSpeechError(f"too short: {seconds:.2f} s without silence at the ends, {needed}", flag="too_short")
