"""Compare a corpus with its published version, and list missing and surplus recordings."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from ser.corpora.base import Corpus
from ser.dataset.recordings import Recording
from ser.utils.errors import UserError, how_to_set

MAX_LISTED = 10
"""Number of recordings that a message lists; the others are counted."""


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
    return [summary]


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
