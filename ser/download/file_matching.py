"""Match the file names of a table to the files of a folder."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from ser.dataset.name_folding import tidy, visible
from ser.dataset.recordings import ALL_SUFFIXES


def _fold(name: str) -> str:
    return "/".join(tidy(part).casefold() for part in name.split("/"))


def _without_suffix(name: str) -> str:
    path = PurePosixPath(_fold(name))
    return str(path.with_suffix("")) if path.suffix in ALL_SUFFIXES else str(path)


_FOLDERS = "missing folders"
_STEPS: Mapping[str, Callable[[str], str]] = {
    "another Unicode form": lambda name: unicodedata.normalize("NFC", name),
    "another case or blanks": _fold,
    "a missing or another suffix": _without_suffix,
    _FOLDERS: lambda name: PurePosixPath(_without_suffix(name)).name,
}
"""Difference between a name and its file -> key that does not depend on it. Each key includes the former ones."""


def match_files(
    names: Collection[str], files: Collection[str], *, folder: Path, bases: Sequence[Path] = ()
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    r"""Match names to relative paths of files, exactly or else as closely as possible.

    Accepted differences are those of `_STEPS`, backslashes, absolute paths, paths relative to one of `bases`, and paths
    below a folder of another computer, if it is the same for all of them.

    Parameters
    ----------
    names : collection of str
        Names in the table.
    files : collection of str
        Paths in `folder`, with slashes.
    folder : Path
        Folder of the files.
    bases : sequence of Path
        Other folders that names may be relative to.

    Returns
    -------
    matches : dict of str to list of str
        Name -> files: none if there is no such file, several if the name is ambiguous.
    adapted : dict of str to list of str
        Difference -> names and their files that differ in this, as in ``a\1.wav → a/1.wav``.
    """
    index = _Index(files)
    slashed = {name: name if name in index.files else name.replace("\\", "/") for name in names}
    paths = {name: path if path in index.files else _relative(path, folder, bases) for name, path in slashed.items()}
    paths |= _rebase({name: path for name, path in paths.items() if not index.find(path)[1]}, index, folder)
    matches, adapted = {}, defaultdict(list)
    for name, path in paths.items():
        difference, matches[name] = index.find(path)
        moved = "absolute paths" if _is_absolute(slashed[name]) else "paths relative to another folder"
        differences = {
            "backslashes": slashed[name] != name,
            moved: path != _normalize(slashed[name]),
            difference: bool(difference),
        }
        for each in [each for each, applies in differences.items() if applies and len(matches[name]) == 1]:
            adapted[each].append(f"{visible(name)} → {visible(matches[name][0])}")
    return matches, dict(adapted)


class _Index:
    def __init__(self, files: Collection[str]) -> None:
        self.files = set(files)
        self._keys: dict[str, dict[str, list[str]]] = {step: defaultdict(list) for step in _STEPS}
        for file in sorted(self.files):
            for step, key in _STEPS.items():
                self._keys[step][key(file)].append(file)

    def find(self, path: str) -> tuple[str, list[str]]:
        """Find files by the first step that has any. Folders may be missing only if the path has none."""
        if path in self.files:
            return "", [path]
        for step, key in _STEPS.items():
            if (step != _FOLDERS or "/" not in path) and (found := self._keys[step].get(key(path))):
                return step, found
        return "", []


def _normalize(path: str) -> str:
    return os.path.normpath(path).replace(os.sep, "/")


def _is_absolute(path: str) -> bool:
    return path.startswith("~") or PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()


def _relative(path: str, folder: Path, bases: Sequence[Path]) -> str:
    """Make a path relative to the folder if it is inside; only remove ``.`` and ``..`` otherwise."""
    for base in (folder, *bases):
        absolute = _absolute(base / (Path(path).expanduser() if path.startswith("~/") else path))
        for root in (_absolute(folder), folder.resolve()):
            if absolute.is_relative_to(root) and (base == folder or exists(absolute)):
                return absolute.relative_to(root).as_posix()
    return _normalize(path)


def exists(path: Path) -> bool:
    """Check for a file; names that no file can have, such as too long ones, do not exist."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _absolute(path: Path) -> Path:
    """Make a path absolute and remove ``..``, but do not follow links, as recordings may be links."""
    return Path(os.path.normpath(path.absolute()))


def _rebase(paths: Mapping[str, str], index: _Index, folder: Path) -> dict[str, str]:
    """Remove the folder in front of paths, if it is that of another computer, or named like the folder of the files.

    Only the most frequent one is removed: files of different folders may have equal names.
    """
    rebased: dict[str, dict[str, str]] = defaultdict(dict)
    for name, path in paths.items():
        for parent in reversed(PurePosixPath(path).parents[:-1]):  # the longest path below it first
            below = str(PurePosixPath(path).relative_to(parent))
            foreign = _is_absolute(path) and not exists(Path(path))
            if (foreign or _fold(parent.name) == _fold(folder.resolve().name)) and (
                index.find(below)[1] and index.find(below)[0] != _FOLDERS
            ):
                rebased[str(parent)][name] = below
                break
    counts = Counter({parent: len(below) for parent, below in rebased.items()})
    return rebased[counts.most_common(1)[0][0]] if counts else {}
