"""The recording table, a row a file of a corpus: what its name or its label says, before anybody listened."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath

from ser.utils.errors import UserError
from ser.utils.files import write_csv

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".caf", ".w64")


@dataclass(frozen=True)
class Recording:
    """A row of the table.

    Attributes
    ----------
    file
        Path below the corpus's folder.
    speaker
        ``<corpus>-<id>``; no id where the speaker is unknown.
    sex
        ``f``, ``m`` or empty.
    emotion
        A canonical one, or another lower-case word.
    intensity, sentence
        How strongly it was played, and which sentence or word was said, where that is known.
    language
        ISO 639-1.
    rejection_reason
        Why this can be no clip; empty for most.
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
        """The path without suffix, which with the corpus's name is the clip's id."""
        return str(PurePosixPath(self.file).with_suffix(""))


COLUMNS = tuple(field.name for field in fields(Recording))


def find_recordings(folder: Path) -> list[PurePosixPath]:
    """List the audio files below a folder, by suffix, as sorted paths relative to it; hidden files are none.

    Raises
    ------
    UserError
        If the folder is missing or holds no audio file.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; expected one with a corpus's recordings.")
    files = (PurePosixPath(path.relative_to(folder).as_posix()) for path in _walk(folder))
    files = (file for file in files if file.suffix.lower() in SUFFIXES)
    visible = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    if not visible:
        raise UserError(f"{folder} holds no recording ({', '.join(SUFFIXES)}); put the corpus's files there.")
    return sorted(visible)


def _walk(folder: Path) -> Iterator[Path]:
    """Find every file below a folder, through links too, but not through those that lead back up."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be listed: {error.strerror}; mend its permissions.")

    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        above = {Path(place).resolve(), *Path(place).resolve().parents}
        folders[:] = [name for name in folders if Path(place, name).resolve() not in above]
        yield from (Path(place, name) for name in names)


def list_recordings(
    folder: Path, parse: Callable[[PurePosixPath], Recording | None], *, grammar: str
) -> list[Recording]:
    """Make the table of a folder's audio files.

    Parameters
    ----------
    folder
        Where the files are.
    parse
        Reads a file's path; None where it does not follow the grammar.
    grammar
        Whose grammar that is, for people.

    Returns
    -------
    list of Recording
        Sorted by name. Those that nobody can read, or whose name another has but for its suffix, have a
        `rejection_reason`.
    """
    unread = f"the name does not follow the grammar of {grammar}"
    files = find_recordings(folder)
    return in_order(parse(file) or Recording(str(file), rejection_reason=unread) for file in files)


def in_order(recordings: Iterable[Recording]) -> list[Recording]:
    """Sort recordings by name, and mark those whose name another has but for its suffix: they would share a clip_id."""
    listed = sorted(recordings, key=lambda recording: (recording.name, recording.file))
    first: dict[str, str] = {}
    for position, recording in enumerate(listed):
        kept = first.setdefault(recording.name, recording.file)
        if kept != recording.file:
            listed[position] = replace(recording, rejection_reason=f"has the same name as {kept}, but for its suffix")
    return listed


def write_recordings(path: Path, recordings: Sequence[Recording]) -> None:
    """Write a recording table as CSV."""
    write_csv(path, map(asdict, recordings), columns=COLUMNS)


def read_recordings(path: Path) -> list[Recording]:
    """Read a recording table.

    Raises
    ------
    UserError
        If it is missing or has other columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != COLUMNS:
                raise UserError(
                    f"{path}: columns are {rows.fieldnames}, expected {list(COLUMNS)}; run `dvc repro`, which makes it."
                )
            return [Recording(**row) for row in rows]
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro`, which makes what a stage needs.") from None
