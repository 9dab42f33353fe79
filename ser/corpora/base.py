"""What a corpus is: facts, no walking of folders, no reading of audio.

Each corpus is a module of this package that defines `CORPUS`. There is no list of them in code on purpose: a list
that every stage imports would make adding one corpus rerun the work of all the others.
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
    InputError
        If the path leads out of the folder, or the hash is malformed.
    """

    filename: str
    url: str
    known_hash: str | None
    size: int | None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.filename)
        if not path.name or path.is_absolute() or ".." in path.parts or "\\" in self.filename:
            raise UserError(f"{self.url}: its name is {self.filename!r}; expected one below a folder, as in a/b.zip.")
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
    """Facts about a corpus.

    Attributes
    ----------
    name
        Also of its module, its folders and the prefix of its speakers and clips.
    title, licence, citation, url
        For people: what it is, what may be done with it, whom to cite, where it is published.
    language
        ISO 639-1.
    pattern
        Regular expression of the end of a file's path without suffix, from the start of a name on, with the groups
        ``speaker`` and ``emotion``, and maybe ``text`` and ``intensity``.
    emotions
        Code in the name -> emotion: a canonical one, or another lower-case word, which a run leaves out unless its
        settings name it.
    sexes
        Speaker in the name -> ``f`` or ``m``.
    n_clips
        As published.
    intensities
        Code in the name -> a word for how strongly the emotion was played.
    aliases
        Speaker as misspelt in some names -> speaker.
    names
        Gives the `key` of each recording as published, so that missing and surplus ones can be named.
    faulty
        Key -> what is wrong with a recording as published; it becomes no clip.
    heard
        Gives what most people heard in a recording, by its key: one emotion, or several that equally many heard.
    oddities
        What else surprises people about the files; sentences.
    published
        Gives the files to fetch; none for a corpus that must be asked for.
    dataverse
        Where the files are listed by a Dataverse instead.
    kaggle
        ``owner/dataset`` of a copy.
    synthetic
        Whether nobody ever said this: the numbers then mean nothing about people.
    folds
        Name of a published cross-validation -> the speakers in the name that each of its folds tests on, in order.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    language: str
    pattern: str
    emotions: Mapping[str, str]
    sexes: Mapping[str, str]
    n_clips: int
    intensities: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    names: Callable[[], Sequence[str]] = tuple
    faulty: Mapping[str, str] = field(default_factory=dict)
    heard: Callable[[], Mapping[str, Sequence[str]]] = dict
    oddities: Sequence[str] = ()
    published: Callable[[], Sequence[RemoteFile]] = tuple
    dataverse: Dataverse | None = None
    kaggle: str = ""
    synthetic: bool = False
    folds: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)

    def key(self, file: PurePosixPath) -> str | None:
        """Get the part of a file's path that the grammar reads, which no two recordings share; None without one."""
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
        if found is None or self._speaker(found) not in self.sexes or found["emotion"] not in self.emotions:
            return None
        groups = found.groupdict()
        return Recording(
            file=str(file),
            speaker=speaker_id(self.name, self._speaker(found)),
            sex=self.sexes[self._speaker(found)],
            emotion=self.emotions[found["emotion"]],
            intensity=self.intensities.get(groups.get("intensity", ""), ""),
            text=groups.get("text", ""),
            language=self.language,
            problem=self.faulty.get(self.key(file) or "", ""),
        )


def known_corpora() -> list[str]:
    """Name the corpora there are facts about: the modules of this package but for this one."""
    return sorted(module.name for module in pkgutil.iter_modules(corpora.__path__) if module.name != "base")


def load_corpus(name: str, *, own: Collection[str] = ()) -> Corpus:
    """Get the facts about one corpus; `own` are names of recordings that the error may suggest too.

    Raises
    ------
    InputError
        If there is no such corpus.
    """
    known = known_corpora()
    if name not in known:
        close = difflib.get_close_matches(name, [*known, *own], n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise UserError(
            f"unknown corpus {name!r} (corpora in params.yaml, or --corpus); known are {', '.join([*known, *own])}. "
            f"{meant}To add one, write ser/corpora/{name}.py; for recordings of your own, see `own` in params.yaml."
        )
    corpus: Corpus = importlib.import_module(f"ser.corpora.{name}").CORPUS
    return corpus


def is_synthetic(name: str) -> bool:
    """Say whether nobody ever said what a corpus, or somebody's own recordings, hold."""
    return name in known_corpora() and load_corpus(name).synthetic


def published_folds(names: Sequence[str], table: str | None) -> dict[str, int]:
    """Look up in which fold of a published cross-validation each speaker is tested.

    Parameters
    ----------
    names
        Of corpora, or of somebody's own recordings, of which nothing is published.
    table
        Name of the cross-validation; None for none.

    Returns
    -------
    dict
        Speaker, as in clip tables -> fold, from 1 on; empty without a table.

    Raises
    ------
    InputError
        If a corpus has no such table.
    """
    if table is None:
        return {}
    having = {name: load_corpus(name).folds for name in known_corpora()}
    without = [name for name in names if table not in having.get(name, {})]
    if without:
        known = "; ".join(f"{name}: {', '.join(folds)}" for name, folds in having.items() if folds)
        raise UserError(
            f"split.table: nobody published folds {table!r} of {', '.join(without)}; known are {known}. "
            "Choose one that all corpora of the run have, or set table: null."
        )
    return {
        speaker_id(name, who): fold
        for name in names
        for fold, speakers in enumerate(having[name][table], start=1)
        for who in speakers
    }
