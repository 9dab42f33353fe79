"""What a corpus is: facts, no walking of folders, no reading of audio.

Each corpus is a module of this package that defines `CORPUS`. There is no list of them in code on purpose: a list
that every stage imports would make adding one corpus rerun the work of all the others.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ser import corpora
from ser.errors import InputError


@dataclass(frozen=True)
class Recording:
    """What a file's name says: one row of the clip table before anybody listened."""

    speaker: str
    sex: str
    emotion: str
    text: str


@dataclass(frozen=True)
class Published:
    """A file of a corpus where it is published.

    Attributes
    ----------
    name
        Path below the corpus's folder.
    url
        Where it is fetched from.
    checksum
        ``md5:…`` or ``sha256:…``.
    size
        In bytes.
    """

    name: str
    url: str
    checksum: str
    size: int


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
        ``speaker``, ``emotion`` and ``text``.
    emotions
        Code in the name -> canonical emotion.
    sexes
        Speaker in the name -> ``f`` or ``m``.
    n_clips
        As published.
    aliases
        Speaker as misspelt in some names -> speaker.
    published
        Gives the files to fetch; none for a corpus that must be asked for.
    synthetic
        Whether nobody ever said this: the numbers then mean nothing about people.
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
    aliases: Mapping[str, str] = field(default_factory=dict)
    published: Callable[[], Sequence[Published]] = tuple
    synthetic: bool = False

    def key(self, file: PurePosixPath) -> str | None:
        """Get the part of a file's path that the grammar reads, which no two recordings share; None without one."""
        found = self._match(file)
        return found[0].removeprefix("/") if found else None

    def _match(self, file: PurePosixPath) -> re.Match[str] | None:
        return re.search(f"(?:^|/)(?:{self.pattern})$", str(file.with_suffix("")))

    def parse(self, file: PurePosixPath) -> Recording | None:
        """Read a file's name; None where it does not follow the corpus's grammar."""
        found = self._match(file)
        if not found:
            return None
        speaker = self.aliases.get(found["speaker"], found["speaker"])
        if speaker not in self.sexes or found["emotion"] not in self.emotions:
            return None
        return Recording(
            speaker=f"{self.name}-{speaker}",
            sex=self.sexes[speaker],
            emotion=self.emotions[found["emotion"]],
            text=found["text"],
        )


def known_corpora() -> list[str]:
    """Name the corpora there are facts about: the modules of this package but for this one."""
    return sorted(module.name for module in pkgutil.iter_modules(corpora.__path__) if module.name != "facts")


def load_corpus(name: str) -> Corpus:
    """Get the facts about one corpus.

    Raises
    ------
    InputError
        If there is no such corpus.
    """
    known = known_corpora()
    if name not in known:
        raise InputError(
            f"params.yaml: corpora: unknown corpus {name!r}; known are {', '.join(known)}. "
            f"To add one, write ser/corpora/{name}.py."
        )
    corpus: Corpus = importlib.import_module(f"ser.corpora.{name}").CORPUS
    return corpus
