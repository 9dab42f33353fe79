"""Define the metadata of a corpus, and load that of the published corpora.

Each other module of this package defines a `CORPUS`. There is no list of them in code, as all stages would depend on it
and run again when a corpus is added.
"""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ser import corpora
from ser.dataset.clip_metadata import speaker_id
from ser.dataset.recordings import Recording
from ser.utils.errors import UserError

if TYPE_CHECKING:
    from ser.params import CustomCorpus, Style


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Attributes
    ----------
    filename
        Path below the folder of the download; ``/`` separates folders.
    url, size
        Address, and size in bytes.
    known_hash
        ``md5:…`` or ``sha256:…`` in hexadecimal digits. Without one, an interrupted download starts again.

    Raises
    ------
    UserError
        If the path leads out of the folder.
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
    style
        Style of the speech: ``acted``, ``elicited``, ``spontaneous`` or ``synthetic``. Scores on synthetic speech say
        nothing about human speech.
    pattern
        Regular expression for the end of a file's path without suffix, from the start of a path component. Groups:
        ``speaker`` and ``emotion``; optional: ``sentence`` and ``intensity``.
    emotions
        Emotion code in the file name -> emotion: a canonical one, or another lower-case word. The latter is excluded
        from a run unless the settings name it.
    speaker_sex
        Speaker code in the file name -> ``f`` or ``m``.
    intensities
        Intensity code in the file name -> intensity.
    aliases
        Misspelt file name without suffix -> the right one.
    left_out
        Regular expression for the file names, without suffix, of other recordings that the publisher has beside these
        -> their kind, such as songs. They are not imported.
    expected_files
        Returns the `recording_key` of each published recording. Used to name missing and surplus recordings.
    known_bad
        `recording_key` -> why a published recording is rejected.
    majority_votes
        Returns `recording_key` -> the emotion that most listeners chose, or several in case of a tie.
    published
        Returns the files to download; none if the corpus is only available on request.
    dataverse
        Dataverse dataset that lists the files instead.
    kaggle
        ``owner/dataset`` of a copy on Kaggle.
    folds
        Name of a published cross-validation -> the speaker codes that each of its folds tests on, in order.
    """

    name: str
    title: str
    license_info: str
    citation: str
    url: str
    language: str
    style: "Style"
    pattern: str
    emotions: Mapping[str, str]
    speaker_sex: Mapping[str, str]
    n_recordings: int
    intensities: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    expected_files: Callable[[], Sequence[str]] = tuple
    known_bad: Mapping[str, str] = field(default_factory=dict)
    majority_votes: Callable[[], Mapping[str, Sequence[str]]] = dict
    notes: Sequence[str] = ()
    published: Callable[[], Sequence[RemoteFile]] = tuple
    dataverse: Dataverse | None = None
    kaggle: str = ""
    folds: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)

    @property
    def is_synthetic(self) -> bool:
        """True if the speech is synthetic."""
        return self.style == "synthetic"

    def recording_key(self, file: PurePosixPath) -> str | None:
        """Get the part of a path that `pattern` matches, which is unique per recording; None without a match."""
        match = self._match(file)
        if match is None:
            return None
        return match[0].removeprefix("/").replace("/", "_")

    def left_out_as(self, file: PurePosixPath) -> str | None:
        """Get the kind of a file that is no recording of the corpus, a value of `left_out`; None for other files."""
        name = file.with_suffix("").name
        return next((kind for pattern, kind in self.left_out.items() if re.fullmatch(pattern, name)), None)

    def _match(self, file: PurePosixPath) -> re.Match[str] | None:
        name = file.with_suffix("").name
        path = file.with_name(self.aliases.get(name, name))
        return re.search(f"(?:^|/)(?:{self.pattern})$", str(path))

    def parse(self, file: PurePosixPath) -> Recording | None:
        """Parse a file name; None if it does not follow the naming scheme of the corpus."""
        match = self._match(file)
        if match is None or match["speaker"] not in self.speaker_sex or match["emotion"] not in self.emotions:
            return None
        groups = match.groupdict()
        return Recording(
            file=str(file),
            speaker=speaker_id(self.name, match["speaker"]),
            sex=self.speaker_sex[match["speaker"]],
            emotion=self.emotions[match["emotion"]],
            intensity=self.intensities.get(groups.get("intensity", ""), ""),
            sentence=groups.get("sentence", ""),
            language=self.language,
            rejection_reason=self.known_bad.get(self.recording_key(file) or "", ""),
        )


def known_corpora() -> list[str]:
    """List the names of the published corpora: the other modules of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(corpora.__path__) if module.name != "base")


def load_corpus(name: str, *, custom: Collection[str] = ()) -> Corpus:
    """Load the metadata of a published corpus; the error also suggests the `custom` corpora.

    Raises
    ------
    UserError
        If there is no such corpus.
    """
    known = known_corpora()
    if name not in known:
        close = difflib.get_close_matches(name, [*known, *custom], n=1)
        suggestion = f"Did you mean {close[0]}? " if close else ""
        raise UserError(
            f"unknown corpus {name!r} (corpora in params.yaml, or --corpus); expected one of "
            f"{', '.join([*known, *custom])}. {suggestion}To add one, write ser/corpora/{name}.py; for custom "
            "recordings, see custom_corpora in params.yaml."
        )
    corpus: Corpus = importlib.import_module(f"ser.corpora.{name}").CORPUS
    return corpus


def is_synthetic(name: str) -> bool:
    """Check whether a corpus contains synthetic speech; custom corpora are treated as human speech."""
    return name in known_corpora() and load_corpus(name).is_synthetic


def speech_styles(names: Sequence[str], custom: "Mapping[str, CustomCorpus]") -> dict[str, str]:
    """Look up the style of the speech of corpora; ``unknown`` for custom corpora whose settings do not give it."""
    known = known_corpora()
    return {name: load_corpus(name).style if name in known else custom[name].style or "unknown" for name in names}


def published_folds(names: Sequence[str], table: str | None) -> dict[str, int]:
    """Look up the test fold of each speaker in a published cross-validation.

    Parameters
    ----------
    names : sequence of str
        Names of corpora; custom ones have no published folds.
    table : str or None
        Name of the cross-validation.

    Returns
    -------
    dict
        {speaker: fold}, speakers as in clip tables and folds from 1; empty without a table.

    Raises
    ------
    UserError
        If a corpus has no such table.
    """
    if table is None:
        return {}
    folds_of = {name: load_corpus(name).folds for name in known_corpora()}
    if missing := [name for name in names if table not in folds_of.get(name, {})]:
        known = "; ".join(f"{name}: {', '.join(folds)}" for name, folds in folds_of.items() if folds)
        raise UserError(
            f"split.fold_table: no published folds {table!r} of {', '.join(missing)}; known are {known}. "
            "Use one that all corpora of the run have, or set fold_table: null."
        )
    return {
        speaker_id(name, code): fold
        for name in names
        for fold, speakers in enumerate(folds_of[name][table], start=1)
        for code in speakers
    }
