"""Find the audio files of a corpus, and read and write recording tables, which have one row and the labels per file."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath

from ser.utils.errors import UserError
from ser.utils.files import write_csv

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".caf", ".w64")
"""Suffixes of the recordings of published corpora."""
ALL_SUFFIXES = (*SUFFIXES, ".m4a", ".mp4", ".webm", ".weba", ".3gp", ".3gpp", ".amr", ".aac", ".wma", ".mka", ".ac3")
"""Suffixes of files of users that are imported, or rejected with a reason if they are not audio."""


@dataclass(frozen=True)
class Recording:
    """A row of the recording table.

    Attributes
    ----------
    file
        Path relative to the folder of the corpus.
    speaker
        ``<corpus>-<id>``, or ``<corpus>-`` if the speaker is unknown.
    sex
        ``f``, ``m`` or empty.
    emotion
        Canonical emotion or another lower-case word.
    intensity, sentence
        Intensity of the emotion, and identifier of the spoken sentence or word; empty if unknown.
    language
        ISO 639-1 code.
    rejection_reason
        Reason why the recording is rejected; empty otherwise.
    """

    file: str
    speaker: str = ""
    sex: str = ""
    emotion: str = ""
    intensity: str = ""
    sentence: str = ""
    language: str = ""
    rejection_reason: str = ""

    @property
    def name(self) -> str:
        """The path without suffix. The clip_id is ``<corpus>/<name>``."""
        return str(PurePosixPath(self.file).with_suffix(""))


COLUMNS = tuple(field.name for field in fields(Recording))


def find_recordings(folder: Path, *, is_audio: Callable[[Path], bool] | None = None) -> list[PurePosixPath]:
    """List the audio files in a folder and its subfolders, except hidden ones, as sorted relative paths.

    By default, these are the files with one of `SUFFIXES`. With the function `is_audio`, they are those with one of
    `ALL_SUFFIXES`, audio or not, and others for which it returns True.

    Raises
    ------
    UserError
        If the folder is missing, has no audio files or cannot be listed.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected the folder of a corpus's recordings.")
    files = (PurePosixPath(path.relative_to(folder).as_posix()) for path in _walk(folder))
    files = (file for file in files if not any(part.startswith(".") for part in file.parts))
    suffixes = SUFFIXES if is_audio is None else ALL_SUFFIXES
    recordings = [
        file for file in files if file.suffix.lower() in suffixes or (is_audio is not None and is_audio(folder / file))
    ]
    if not recordings:
        raise UserError(f"{folder} contains no recordings ({', '.join(suffixes)}); put the files of the corpus there.")
    return sorted(recordings)


def _walk(folder: Path) -> Iterator[Path]:
    """List all files of a folder. Follow links to folders, except to a parent folder."""

    def reject(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be listed: {error.strerror}; fix its permissions.")

    for current, subfolders, names in os.walk(folder, followlinks=True, onerror=reject):
        parents = {Path(current).resolve(), *Path(current).resolve().parents}
        subfolders[:] = [name for name in subfolders if Path(current, name).resolve() not in parents]
        yield from (Path(current, name) for name in names)


def list_recordings(
    folder: Path, parse: Callable[[PurePosixPath], Recording | None], *, corpus: str
) -> list[Recording]:
    """Build the recording table of a folder.

    Parameters
    ----------
    folder : Path
        Folder of the audio files.
    parse : callable
        Parses the relative path of a file; returns None if the path does not follow the naming scheme.
    corpus : str
        Name of the corpus, for the rejection reason.

    Returns
    -------
    list of Recording
        Sorted by name. Files that cannot be parsed, and files that differ from another one by the suffix only, have a
        `rejection_reason`.
    """
    reason = f"the file name does not follow the naming scheme of {corpus}"
    files = find_recordings(folder)
    return reject_repeated_names(parse(file) or Recording(str(file), rejection_reason=reason) for file in files)


def reject_repeated_names(recordings: Iterable[Recording]) -> list[Recording]:
    """Sort recordings by name, and reject those with the name, and thus the clip_id, of an earlier one."""
    table = sorted(recordings, key=lambda recording: (recording.name, recording.file))
    first: dict[str, str] = {}
    for position, recording in enumerate(table):
        kept = first.setdefault(recording.name, recording.file)
        if kept != recording.file:
            table[position] = replace(recording, rejection_reason=f"has the same name as {kept}, except for the suffix")
    return table


def write_recordings(path: Path, recordings: Sequence[Recording]) -> None:
    """Write a recording table as CSV."""
    write_csv(path, map(asdict, recordings), columns=COLUMNS)


def read_recordings(path: Path) -> list[Recording]:
    """Read a recording table.

    Raises
    ------
    UserError
        If the file is missing or has other columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise UserError(
                    f"{path}: columns are {rows.fieldnames}, expected {list(COLUMNS)}; run `dvc repro` to write it."
                )
            return [Recording(**row) for row in rows]
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro` to create it.") from None
