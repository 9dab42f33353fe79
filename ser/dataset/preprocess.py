"""Preprocess the recordings of a corpus: clean their audio, and log statistics and rejected recordings."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ser.audio import clean as audio_clean
from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.dataset.recordings import Recording
from ser.params import Preprocess
from ser.utils.errors import UserError
from ser.utils.parallel import batches, map_batches

BATCH = 16
"""Number of recordings per batch."""
REJECTED_COLUMNS = ("file", "reason")
STATS_COLUMNS = (
    *("file", "sample_rate", "channels", "duration", "level_db", "peak_db", "flags"),
    *("segments", "clip_duration", "clip_level_db"),
)
"""Recording: sample rate in Hz, duration in seconds, RMS level and peak in dBFS, flags of its decoding. Number of
segments, and their total duration and level."""


@dataclass(frozen=True)
class RejectedRecording:
    """A recording without a clip, and the reason."""

    file: str
    reason: str


@dataclass(frozen=True)
class ProcessedRecording:
    """Rows of the clip table with audio, one per segment, and a row of `STATS_COLUMNS`."""

    clips: list[dict[str, Any]]
    stats: dict[str, Any]


@dataclass
class PreprocessingLog:
    """Statistics and rejected recordings of a corpus.

    Attributes
    ----------
    rejected : list of RejectedRecording
        Recordings without clips.
    stats : list of dict
        Rows of `STATS_COLUMNS`, one per recording with clips.
    """

    rejected: list[RejectedRecording] = field(default_factory=list)
    stats: list[dict[str, Any]] = field(default_factory=list)
    _first_with_audio: dict[str, tuple[str, tuple[str, str]]] = field(default_factory=dict)

    def add(self, result: ProcessedRecording | RejectedRecording) -> list[dict[str, Any]]:
        """Log a result. Return its clips; none if the recording is rejected or repeats the audio of another one.

        Raises
        ------
        UserError
            If the other one has another emotion or speaker.
        """
        if isinstance(result, ProcessedRecording):
            file, clip = result.stats["file"], result.clips[0]
            label, audio = (clip["emotion"], clip["speaker"]), " ".join(row["audio_sha256"] for row in result.clips)
            first, first_label = self._first_with_audio.setdefault(audio, (file, label))
            if file == first:
                self.stats.append(result.stats)
                return result.clips
            if label != first_label:
                raise UserError(
                    f"{clip['corpus']}: {first} ({', '.join(first_label)}) and {file} ({', '.join(label)}) have "
                    "the same audio, but different labels; correct the labels, or remove the wrong file."
                )
            result = RejectedRecording(file, f"contains the same audio as {first}")
        self.rejected.append(result)
        return []

    def counts(self) -> dict[str, int]:
        """Count all recordings, those with and without clips, those of several segments, and all clips."""
        usable, unusable, segments = len(self.stats), len(self.rejected), [row["segments"] for row in self.stats]
        counts = {"recordings": usable + unusable, "usable": usable, "unusable": unusable}
        return counts | {"segmented": sum(n > 1 for n in segments), "clips": sum(segments)}

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
        yield [clip for result in batch for clip in log.add(result)]


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
        segments, original = audio_clean.clean_and_measure(folder / recording.file, settings)
    except audio_io.AudioError as error:
        return RejectedRecording(recording.file, str(error))
    recording_id, rate = f"{corpus}/{recording.name}", settings.sample_rate
    clip = {
        "recording_id": recording_id,
        "corpus": corpus,
        "speaker": recording.speaker,
        "sex": recording.sex,
        "language": recording.language,
        "emotion": recording.emotion,
        "intensity": recording.intensity,
        "sentence": recording.sentence,
        "augmentation": "",
        "sample_rate": rate,
    }
    ids = [recording_id] if len(segments) == 1 else [f"{recording_id}#{n}" for n in range(1, len(segments) + 1)]
    clips = [clip | _segment(signal, clip_id, rate=rate) for clip_id, signal in zip(ids, segments, strict=True)]
    stats = {
        "file": recording.file,
        "sample_rate": original.sample_rate,
        "channels": original.channels,
        "duration": round(original.seconds, 3),
        "level_db": round(original.level_db, 3),
        "peak_db": round(original.peak_db, 3),
        "flags": " ".join(original.flags),
        "segments": len(segments),
        "clip_duration": round(sum(map(len, segments)) / rate, 3),
        "clip_level_db": round(effects.rms_dbfs(np.concatenate(segments)), 3),
    }
    return ProcessedRecording(clips, stats)


def _segment(signal: Waveform, clip_id: str, *, rate: int) -> dict[str, Any]:
    audio = audio_io.to_flac(signal, rate=rate)
    ids = {"clip_id": clip_id, "original_id": clip_id, "audio_sha256": hashlib.sha256(audio).hexdigest()[:32]}
    return ids | {"n_samples": len(signal), "audio": audio}
