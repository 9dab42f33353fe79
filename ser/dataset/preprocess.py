"""Preprocess the recordings of a corpus: clean their audio, and log statistics and rejected recordings."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ser.audio import clean as audio_clean
from ser.audio import effects
from ser.audio import io as audio_io
from ser.dataset.recordings import Recording
from ser.params import Preprocess
from ser.utils.errors import UserError
from ser.utils.parallel import batches, map_batches

BATCH = 16
"""Number of recordings per batch."""
REJECTED_COLUMNS = ("file", "reason")
STATS_COLUMNS = ("file", "sample_rate", "channels", "duration", "level_db", "peak_db", "clip_duration", "clip_level_db")
"""Recording: sample rate in Hz, duration in seconds, RMS level and peak in dBFS; clip: duration and level."""


@dataclass(frozen=True)
class RejectedRecording:
    """A recording without a clip, and the reason."""

    file: str
    reason: str


@dataclass(frozen=True)
class ProcessedRecording:
    """A row of the clip table with audio, and a row of `STATS_COLUMNS`."""

    clip: dict[str, Any]
    stats: dict[str, Any]


@dataclass
class PreprocessingLog:
    """Statistics and rejected recordings of a corpus.

    Attributes
    ----------
    rejected : list of RejectedRecording
        Recordings without a clip.
    stats : list of dict
        Rows of `STATS_COLUMNS`, one per clip.
    """

    rejected: list[RejectedRecording] = field(default_factory=list)
    stats: list[dict[str, Any]] = field(default_factory=list)
    _first_with_audio: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, result: ProcessedRecording | RejectedRecording) -> dict[str, Any] | None:
        """Log a result. Return its clip, or None if the recording is rejected or repeats the audio of another one."""
        if isinstance(result, ProcessedRecording):
            file, emotion = result.stats["file"], result.clip["emotion"]
            first, label = self._first_with_audio.setdefault(result.clip["audio_sha256"], (file, emotion))
            if file == first:
                self.stats.append(result.stats)
                return result.clip
            suffix = "" if label == emotion else f", which is labelled {label}"
            result = RejectedRecording(file, f"contains the same audio as {first}{suffix}")
        self.rejected.append(result)
        return None

    def counts(self) -> dict[str, int]:
        """Count all recordings, and those with and without a clip."""
        usable, unusable = len(self.stats), len(self.rejected)
        return {"recordings": usable + unusable, "usable": usable, "unusable": unusable}

    def check(self, *, corpus: str, max_rejected_fraction: float) -> None:
        """Check the fraction of rejected recordings.

        Raises
        ------
        UserError
            If it is above `max_rejected_fraction`; the message has the first rejected recording.
        """
        n_recordings = self.counts()["recordings"]
        fraction = len(self.rejected) / n_recordings
        if fraction > max_rejected_fraction:
            first = self.rejected[0]
            raise UserError(
                f"{corpus}: {len(self.rejected)} of {n_recordings} recordings are rejected ({fraction:.1%}), "
                f"preprocess.max_rejected_fraction allows {max_rejected_fraction:.1%}. The first: {first.file}: "
                f"{first.reason}. Fix or remove them, or raise the limit."
            )


def make_clips(
    folder: Path, recordings: Sequence[Recording], settings: Preprocess, *, corpus: str, log: PreprocessingLog
) -> Iterator[list[dict[str, Any]]]:
    """Convert the recordings in a folder, sorted by name, to rows of the clip table, in parallel.

    Statistics and rejected recordings are added to `log`.

    Yields
    ------
    list of dict
        Rows of the clip table with the column ``audio`` (FLAC bytes).
    """
    results = map_batches(
        partial(_process_batch, folder=folder, corpus=corpus, settings=settings),
        batches(recordings, size=BATCH),
        description=f"preprocess {corpus}",
        total=math.ceil(len(recordings) / BATCH),
    )
    for batch in results:
        yield [clip for clip in map(log.add, batch) if clip is not None]


def _process_batch(
    recordings: list[Recording], *, folder: Path, corpus: str, settings: Preprocess
) -> list[ProcessedRecording | RejectedRecording]:
    return [_process(recording, folder=folder, corpus=corpus, settings=settings) for recording in recordings]


def _process(
    recording: Recording, *, folder: Path, corpus: str, settings: Preprocess
) -> ProcessedRecording | RejectedRecording:
    if recording.rejection_reason:
        return RejectedRecording(recording.file, recording.rejection_reason)
    try:
        signal, original = audio_clean.clean_and_measure(folder / recording.file, settings)
    except audio_io.AudioError as error:
        return RejectedRecording(recording.file, str(error))
    clip_id, audio = f"{corpus}/{recording.name}", audio_io.to_flac(signal, rate=settings.sample_rate)
    clip = {
        "clip_id": clip_id,
        "corpus": corpus,
        "speaker": recording.speaker,
        "sex": recording.sex,
        "language": recording.language,
        "emotion": recording.emotion,
        "intensity": recording.intensity,
        "sentence": recording.sentence,
        "audio_sha256": hashlib.sha256(audio).hexdigest()[:32],
        "original_id": clip_id,
        "augmentation": "",
        "n_samples": len(signal),
        "sample_rate": settings.sample_rate,
        "audio": audio,
    }
    stats = {
        "file": recording.file,
        "sample_rate": original.sample_rate,
        "channels": original.channels,
        "duration": round(original.seconds, 3),
        "level_db": round(original.level_db, 3),
        "peak_db": round(original.peak_db, 3),
        "clip_duration": round(len(signal) / settings.sample_rate, 3),
        "clip_level_db": round(effects.rms_dbfs(signal), 3),
    }
    return ProcessedRecording(clip, stats)
