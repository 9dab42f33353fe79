"""From a folder of a corpus's files to its clip table."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from ser import audio
from ser.corpora.facts import Corpus, Recording
from ser.errors import InputError
from ser.parallel import batches, map_batches
from ser.params import Preprocess

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".caf", ".w64")
BATCH = 32


@dataclass(frozen=True)
class Unusable:
    """A recording that does not become a clip, and why."""

    file: str
    reason: str


def find_recordings(folder: Path) -> list[PurePosixPath]:
    """List the audio files below a folder, by suffix, as sorted paths relative to it; hidden files are none.

    Raises
    ------
    InputError
        If the folder is missing or holds no audio file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; expected one with a corpus's recordings.")
    files = (PurePosixPath(path.relative_to(folder).as_posix()) for path in _walk(folder))
    files = (file for file in files if file.suffix.lower() in SUFFIXES)
    visible = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    if not visible:
        raise InputError(f"{folder} holds no recording ({', '.join(SUFFIXES)}); put the corpus's files there.")
    return sorted(visible)


def _walk(folder: Path) -> Iterator[Path]:
    """Find every file below a folder, through links too, but not through those that lead back up."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed: {error.strerror}; mend its permissions.")

    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        above = {Path(place).resolve(), *Path(place).resolve().parents}
        folders[:] = [name for name in folders if Path(place, name).resolve() not in above]
        yield from (Path(place, name) for name in names)


def make_clips(
    folder: Path, corpus: Corpus, settings: Preprocess, *, unusable: list[Unusable]
) -> Iterator[list[dict[str, Any]]]:
    """Turn every recording of a corpus into a row of the clip table, in parallel.

    Parameters
    ----------
    folder
        Where the recordings are.
    corpus
        Facts about them.
    settings
        The section `preprocess` of the settings.
    unusable
        Recordings that give no clip are added here, with the reason.

    Yields
    ------
    list of dict
        Rows with the column ``audio`` (FLAC bytes).
    """
    files, repeated = _first_of_each_name(find_recordings(folder))
    unusable.extend(repeated)
    work = partial(_clips_of, folder=folder, corpus=corpus, settings=settings)
    for results in map_batches(
        work, batches(files, size=BATCH), description=f"preprocess {corpus.name}", total=-(-len(files) // BATCH)
    ):
        unusable.extend(result for result in results if isinstance(result, Unusable))
        yield [result for result in results if not isinstance(result, Unusable)]


def _first_of_each_name(files: Sequence[PurePosixPath]) -> tuple[list[PurePosixPath], list[Unusable]]:
    """Sort files by clip_id, of which two files that differ in their suffix alone would have the same."""
    first: dict[str, PurePosixPath] = {}
    repeated = []
    for file in files:
        kept = first.setdefault(str(file.with_suffix("")), file)
        if kept != file:
            repeated.append(Unusable(str(file), f"has the same name as {kept}, but for its suffix"))
    return [first[name] for name in sorted(first)], repeated


def _clips_of(
    files: list[PurePosixPath], *, folder: Path, corpus: Corpus, settings: Preprocess
) -> list[dict[str, Any] | Unusable]:
    return [_clip_of(file, folder=folder, corpus=corpus, settings=settings) for file in files]


def _clip_of(file: PurePosixPath, *, folder: Path, corpus: Corpus, settings: Preprocess) -> dict[str, Any] | Unusable:
    recording = corpus.parse(file)
    if recording is None:
        return Unusable(str(file), f"the name does not follow the grammar of {corpus.name}")
    try:
        signal = audio.clean(folder / file, settings)
    except audio.AudioError as error:
        return Unusable(str(file), str(error))
    return _row(file, recording, corpus=corpus, settings=settings, signal=signal)


def _row(
    file: PurePosixPath, recording: Recording, *, corpus: Corpus, settings: Preprocess, signal: audio.Signal
) -> dict[str, Any]:
    clip_id = f"{corpus.name}/{file.with_suffix('')}"
    return {
        "clip_id": clip_id,
        "corpus": corpus.name,
        **asdict(recording),
        "language": corpus.language,
        "source": clip_id,
        "augmentation": "",
        "n_samples": len(signal),
        "sample_rate": settings.sample_rate,
        "audio": audio.to_flac(signal, rate=settings.sample_rate),
    }


def count(folder: Path, unusable: Sequence[Unusable]) -> dict[str, int]:
    """Count a folder's recordings, and the usable and unusable among them."""
    found = len(find_recordings(folder))
    return {"recordings": found, "usable": found - len(unusable), "unusable": len(unusable)}


def check_unusable(unusable: Sequence[Unusable], *, of: int, corpus: str, most: float) -> None:
    """Refuse a corpus of which too much is unusable.

    Raises
    ------
    InputError
        If the share of unusable recordings is above `most`, naming the first of them.
    """
    share = len(unusable) / of
    if share > most:
        first = unusable[0]
        raise InputError(
            f"{corpus}: {len(unusable)} of {of} recordings are unusable ({share:.1%}), preprocess.max_unusable "
            f"allows {most:.1%}. The first: {first.file}: {first.reason}. Mend or remove them, or raise the limit."
        )
