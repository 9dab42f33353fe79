"""Compare a corpus with its published version, and find files without audio."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ser.corpora.base import Corpus
from ser.dataset.recordings import Recording
from ser.utils.errors import UserError, how_to_set
from ser.utils.text import pluralize

MAX_LISTED = 10
"""Number of recordings that a message lists; the others are counted."""
_LFS_POINTER = re.compile(rb"version https://(git-lfs|hawser)\.github\.com/spec/v1\s")
"""First line of the text that Git stores in place of a file in Git LFS; hawser is its former name."""


def validate_corpus(recordings: Sequence[Recording], corpus: Corpus, *, allow_incomplete: bool) -> list[str]:
    """Compare the recordings of a corpus with its metadata; return the counts and differences as notes.

    Raises
    ------
    UserError
        If several recordings have the same name, or if recordings are missing or surplus and this is not accepted.
    """
    keys = Counter(key for row in recordings if (key := corpus.recording_key(PurePosixPath(row.file))))
    if repeated := sorted(key for key, count in keys.items() if count > 1):
        raise UserError(
            f"{corpus.name}: there are {keys[repeated[0]]} different recordings named {repeated[0]}; keep one of them."
        )
    difference = _describe_difference(set(keys), corpus)
    summary = f"{corpus.name}: {_describe_counts(recordings, corpus)}{f'; {difference}' if difference else ''}."
    if difference and not allow_incomplete:
        raise UserError(
            f"{summary} Complete the folder, or accept an incomplete corpus: "
            f"{how_to_set('download.allow_incomplete', 'true')}."
        )
    renamed = sorted({stem for row in recordings if (stem := PurePosixPath(row.file).stem) in corpus.aliases})
    if not renamed:
        return [summary]
    listed = list_some([f"{stem} is read as {corpus.aliases[stem]}" for stem in renamed])
    return [summary, f"{corpus.name}: {pluralize(len(renamed), 'misspelt file name')}: {listed}."]


def describe_rejected(recordings: Sequence[Recording], *, corpus: str) -> list[str]:
    """Count the recordings that their names or labels already reject, and give the first reason, in one note."""
    rejected = [row for row in recordings if row.rejection_reason]
    if not rejected:
        return []
    first = f"{rejected[0].file}: {rejected[0].rejection_reason}"
    return [f"{corpus}: {len(rejected)} of {pluralize(len(recordings), 'recording')} rejected; the first: {first}."]


@contextmanager
def check_lfs_pointers(source: Path, folder: Path) -> Iterator[None]:
    """Check the files that the block imports from `source` into `folder` for Git LFS pointers.

    Raises
    ------
    UserError
        If an imported file is a Git LFS pointer, or the block fails with a `UserError` and `source` has pointers, which
        are then the cause.
    """
    try:
        yield
    except UserError:
        _reject_lfs_pointers(source, source=source)
        raise
    _reject_lfs_pointers(folder, source=source)


def _reject_lfs_pointers(folder: Path, *, source: Path) -> None:
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    visible = [file for file in files if not any(part.startswith(".") for part in file.parts)]
    if pointers := [file for file in visible if _is_lfs_pointer(folder / file)]:
        raise UserError(
            f"{source}: {len(pointers)} of {pluralize(len(visible), 'file')} are Git LFS pointers instead of audio, "
            f"the first: {pointers[0]}. Fetch the audio with `git lfs pull` in a clone of the "
            "repository, as its ZIP archive may have only pointers, and run again."
        )


def _is_lfs_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _LFS_POINTER.match(file.read(64)) is not None
    except OSError:  # unreadable files are rejected with a reason later
        return False


def _describe_difference(keys: set[str], corpus: Corpus) -> str:
    expected = set(corpus.expected_files())
    if not expected:  # the published files are not listed
        return "" if len(keys) == corpus.n_recordings else "which ones differ is unknown"
    differences = {"missing": expected - keys, "not of the published corpus": keys - expected}
    return ", ".join(f"{kind}: {list_some(names)}" for kind, names in differences.items() if names)


def _describe_counts(recordings: Sequence[Recording], corpus: Corpus) -> str:
    known = [recording for recording in recordings if recording.speaker]
    counts = {
        "recordings": (len(known), corpus.n_recordings),
        "speakers": (len({recording.speaker for recording in known}), len(corpus.speaker_sex)),
        "emotions": (len({recording.emotion for recording in known}), len(set(corpus.emotions.values()))),
    }
    return ", ".join(f"{count} of {published} {kind}" for kind, (count, published) in counts.items())


def list_some(names: Collection[str]) -> str:
    """List the first `MAX_LISTED` names, sorted, and count the others."""
    listed = sorted(names)[:MAX_LISTED]
    rest = len(names) - len(listed)
    return ", ".join(listed) + (f" and {rest} more" if rest else "")
