"""From a corpus's recordings to its clip table: what each was, what became of it, and why some became nothing."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ser.audio import clean as audio_clean
from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.dataset.recordings import Recording
from ser.params import Preprocess
from ser.utils.errors import UserError
from ser.utils.parallel import batches, map_batches

BATCH = 16
UNUSABLE = ("file", "reason")
STATS_COLUMNS = ("file", "sample_rate", "channels", "duration", "level_db", "peak_db", "clip_duration", "clip_level_db")
"""Columns: of the recording its rate in Hz, length in s, RMS level and peak in dBFS; of the clip length and level."""


@dataclass(frozen=True)
class RejectedRecording:
    """A recording that does not become a clip, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class _ProcessedClip:
    """A clip, a row of the clip table, and a row with `STATS_COLUMNS` about the recording that it was made of."""

    clip: dict[str, Any]
    measured: dict[str, Any]


@dataclass
class PreprocessingLog:
    """What is noted while clips are made.

    Attributes
    ----------
    unusable
        Recordings that give no clip.
    measured
        A row with `STATS_COLUMNS` of each that does.
    """

    unusable: list[RejectedRecording] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)
    _sounds: dict[str, tuple[str, str]] = field(default_factory=dict)

    def take(self, made: "_ProcessedClip | RejectedRecording") -> bool:
        """Note a result; say whether it is a clip, which it is not if an earlier recording holds the same sound."""
        if isinstance(made, _ProcessedClip):
            file, emotion = self._sounds.setdefault(
                made.clip["audio_sha256"], (made.measured["file"], made.clip["emotion"])
            )
            if file == made.measured["file"]:
                self.measured.append(made.measured)
                return True
            label = "" if emotion == made.clip["emotion"] else f", which is labelled {emotion}"
            made = RejectedRecording(made.measured["file"], f"holds the same sound as {file}{label}")
        self.unusable.append(made)
        return False

    def counts(self) -> dict[str, int]:
        """Count recordings, and the usable and unusable among them."""
        usable, unusable = len(self.measured), len(self.unusable)
        return {"recordings": usable + unusable, "usable": usable, "unusable": unusable}

    def check(self, *, corpus: str, most: float) -> None:
        """Refuse a corpus of which too much is unusable.

        Raises
        ------
        UserError
            If the share of unusable recordings is above `most`, naming the first of them.
        """
        of, share = self.counts()["recordings"], len(self.unusable) / self.counts()["recordings"]
        if share > most:
            first = self.unusable[0]
            raise UserError(
                f"{corpus}: {len(self.unusable)} of {of} recordings are unusable ({share:.1%}), "
                f"preprocess.max_rejected_fraction allows {most:.1%}. The first: {first.file}: {first.reason}. "
                "Mend or remove them, or raise the limit."
            )


def make_clips(
    folder: Path, recordings: Sequence[Recording], settings: Preprocess, *, corpus: str, outcome: PreprocessingLog
) -> Iterator[list[dict[str, Any]]]:
    """Turn the recordings of a corpus into rows of the clip table, in parallel.

    Parameters
    ----------
    folder
        Where the files are.
    recordings
        Their table, sorted by name.
    settings
        The section `preprocess` of the settings.
    corpus
        Its name.
    outcome
        Takes note of what was measured, and of recordings that give no clip, with the reason.

    Yields
    ------
    list of dict
        Rows with the column ``audio`` (FLAC bytes).
    """
    work = partial(_make, folder=folder, corpus=corpus, settings=settings)
    results = map_batches(
        work,
        batches(recordings, size=BATCH),
        description=f"preprocess {corpus}",
        total=-(-len(recordings) // BATCH),
    )
    for made in results:
        yield [one.clip for one in made if outcome.take(one) and isinstance(one, _ProcessedClip)]


def _make(
    recordings: list[Recording], *, folder: Path, corpus: str, settings: Preprocess
) -> "list[_ProcessedClip | RejectedRecording]":
    return [_make_one(recording, folder=folder, corpus=corpus, settings=settings) for recording in recordings]


def _make_one(
    recording: Recording, *, folder: Path, corpus: str, settings: Preprocess
) -> "_ProcessedClip | RejectedRecording":
    if recording.rejection_reason:
        return RejectedRecording(recording.file, recording.rejection_reason)
    try:
        signal, original = audio_clean.clean_and_measure(folder / recording.file, settings)
    except audio_io.AudioError as error:
        return RejectedRecording(recording.file, str(error))
    clip = _clip(recording, signal, corpus=corpus, rate=settings.sample_rate)
    return _ProcessedClip(clip, _measured(recording.file, original, signal, rate=settings.sample_rate))


def _clip(recording: Recording, signal: Waveform, *, corpus: str, rate: int) -> dict[str, Any]:
    clip_id = f"{corpus}/{recording.name}"
    sound = audio_io.to_flac(signal, rate=rate)
    return {
        "clip_id": clip_id,
        "corpus": corpus,
        "speaker": recording.speaker,
        "sex": recording.sex,
        "language": recording.language,
        "emotion": recording.emotion,
        "intensity": recording.intensity,
        "sentence": recording.sentence,
        "audio_sha256": hashlib.sha256(sound).hexdigest()[:32],
        "original_id": clip_id,
        "augmentation": "",
        "n_samples": len(signal),
        "sample_rate": rate,
        "audio": sound,
    }


def _measured(file: str, original: audio_clean.AudioStats, signal: Waveform, *, rate: int) -> dict[str, Any]:
    numbers = {
        "duration": original.seconds,
        "level_db": original.level_db,
        "peak_db": original.peak_db,
        "clip_duration": len(signal) / rate,
        "clip_level_db": effects.rms_dbfs(signal),
    }
    rounded = {name: round(value, 3) for name, value in numbers.items()}
    row = {"file": file, "sample_rate": original.sample_rate, "channels": original.channels} | rounded
    return {column: row[column] for column in STATS_COLUMNS}
