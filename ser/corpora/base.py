"""Metadata of corpora; this module reads no folders and no audio.

Each corpus is a module of this package that defines `CORPUS`. There is no list of them in code: a list that every stage
imports would cause all stages to run again when a corpus is added.
"""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ser import corpora
from ser.dataset.clip_metadata import speaker_id
from ser.dataset.recordings import Recording
from ser.utils.errors import UserError

_HASH = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", re.IGNORECASE)


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes
    ----------
    filename
        Path below the folder of the download; ``/`` separates folders.
    url
        Address of the file.
    known_hash
        ``md5:…`` or ``sha256:…`` in hexadecimal digits. Without one, an interrupted download starts again.
    size
        In bytes.

    Raises
    ------
    UserError
        If the path leads out of the folder, or the hash is malformed.
    """

    filename: str
    url: str
    known_hash: str | None
    size: int | None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.filename)
        if not path.name or path.is_absolute() or ".." in path.parts or "\\" in self.filename:
            raise UserError(
                f"{self.url}: its name is {self.filename!r}; expected a path inside the folder, such as a/b.zip."
            )
        if self.known_hash is not None and not _HASH.fullmatch(self.known_hash):
            raise UserError(
                f"{self.filename}: its checksum is {self.known_hash!r}; expected md5: and 32, or sha256: and 64, "
                "hexadecimal digits; copy it from the publisher's page again."
            )


@dataclass(frozen=True)
class Dataverse:
    """A dataset in a Dataverse: the server's address and the dataset's DOI (``doi:…``)."""

    server: str
    doi: str


@dataclass(frozen=True)
class Corpus:
    """Metadata of a corpus.

    Attributes
    ----------
    name
        Also the name of its module and folders, and the prefix of its speakers and clips.
    title, license_info, citation, url
        Full name, licence, reference and home page.
    language
        ISO 639-1 code.
    pattern
        Regular expression for the end of a file's path without suffix, from the start of a path component. Groups:
        ``speaker`` and ``emotion``; optional: ``sentence`` and ``intensity``.
    emotions
        Emotion code in the file name -> emotion: a canonical one, or another lower-case word. The latter is excluded
        from a run unless the settings name it.
    speaker_sex
        Speaker code in the file name -> ``f`` or ``m``.
    n_recordings
        Number of published recordings.
    intensities
        Intensity code in the file name -> intensity.
    aliases
        Misspelt speaker code -> speaker code.
    expected_files
        Returns the `recording_key` of each published recording. Used to name missing and surplus recordings.
    known_bad
        `recording_key` -> what is wrong with a recording as published. It becomes no clip.
    majority_votes
        Returns `recording_key` -> the emotion that most listeners chose, or several in case of a tie.
    notes
        Further known issues of the files; sentences.
    published
        Returns the files to download; none if the corpus is only available on request.
    dataverse
        Dataverse dataset that lists the files instead.
    kaggle
        ``owner/dataset`` of a copy on Kaggle.
    is_synthetic
        Whether the speech is synthetic. Scores then say nothing about human speech.
    folds
        Name of a published cross-validation -> the speaker codes that each of its folds tests on, in order.
    """

    name: str
    title: str
    license_info: str
    citation: str
    url: str
    language: str
    pattern: str
    emotions: Mapping[str, str]
    speaker_sex: Mapping[str, str]
    n_recordings: int
    intensities: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    expected_files: Callable[[], Sequence[str]] = tuple
    known_bad: Mapping[str, str] = field(default_factory=dict)
    majority_votes: Callable[[], Mapping[str, Sequence[str]]] = dict
    notes: Sequence[str] = ()
    published: Callable[[], Sequence[RemoteFile]] = tuple
    dataverse: Dataverse | None = None
    kaggle: str = ""
    is_synthetic: bool = False
    folds: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)

    def recording_key(self, file: PurePosixPath) -> str | None:
        """Get the part of a file's path that `pattern` matches, which is unique per recording; None if none does."""
        found = self._match(file)
        if found is None:
            return None
        start, end = (place - found.start() for place in found.span("speaker"))
        text = found[0]
        return (text[:start] + self._speaker(found) + text[end:]).removeprefix("/").replace("/", "_")

    def _match(self, file: PurePosixPath) -> re.Match[str] | None:
        return re.search(f"(?:^|/)(?:{self.pattern})$", str(file.with_suffix("")))

    def _speaker(self, found: re.Match[str]) -> str:
        return self.aliases.get(found["speaker"], found["speaker"])

    def parse(self, file: PurePosixPath) -> Recording | None:
        """Read a file's name; None where it does not follow the corpus's grammar."""
        found = self._match(file)
        if found is None or self._speaker(found) not in self.speaker_sex or found["emotion"] not in self.emotions:
            return None
        groups = found.groupdict()
        return Recording(
            file=str(file),
            speaker=speaker_id(self.name, self._speaker(found)),
            sex=self.speaker_sex[self._speaker(found)],
            emotion=self.emotions[found["emotion"]],
            intensity=self.intensities.get(groups.get("intensity", ""), ""),
            sentence=groups.get("sentence", ""),
            language=self.language,
            rejection_reason=self.known_bad.get(self.recording_key(file) or "", ""),
        )


def known_corpora() -> list[str]:
    """List the names of the published corpora: the other modules of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(corpora.__path__) if module.name != "base")


def load_corpus(name: str, *, custom: Collection[str] = ()) -> Corpus:
    """Get the facts about one corpus; `custom` are names of custom corpora that the error may suggest too.

    Raises
    ------
    UserError
        If there is no such corpus.
    """
    known = known_corpora()
    if name not in known:
        close = difflib.get_close_matches(name, [*known, *custom], n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise UserError(
            f"unknown corpus {name!r} (corpora in params.yaml, or --corpus); known are {', '.join([*known, *custom])}. "
            f"{meant}To add one, write ser/corpora/{name}.py; for own recordings, see custom_corpora in params.yaml."
        )
    corpus: Corpus = importlib.import_module(f"ser.corpora.{name}").CORPUS
    return corpus


def is_synthetic(name: str) -> bool:
    """Check whether a corpus holds synthetic speech. Custom corpora never count as synthetic."""
    return name in known_corpora() and load_corpus(name).is_synthetic


def published_folds(names: Sequence[str], table: str | None) -> dict[str, int]:
    """Look up the test fold of each speaker in a published cross-validation.

    Parameters
    ----------
    names
        Names of corpora; custom ones have no published folds.
    table
        Name of the cross-validation, or None.

    Returns
    -------
    dict
        Speaker, as in clip tables -> fold, from 1 on; empty without a table.

    Raises
    ------
    UserError
        If a corpus has no such table.
    """
    if table is None:
        return {}
    having = {name: load_corpus(name).folds for name in known_corpora()}
    without = [name for name in names if table not in having.get(name, {})]
    if without:
        known = "; ".join(f"{name}: {', '.join(folds)}" for name, folds in having.items() if folds)
        raise UserError(
            f"split.fold_table: there are no published folds {table!r} of {', '.join(without)}; known are {known}. "
            "Choose one that all corpora of the run have, or set fold_table: null."
        )
    return {
        speaker_id(name, who): fold
        for name in names
        for fold, speakers in enumerate(having[name][table], start=1)
        for who in speakers
    }
