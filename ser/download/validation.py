"""Compare a corpus with its published version, and name missing and surplus recordings."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from ser.corpora.base import Corpus
from ser.dataset.recordings import Recording
from ser.utils.errors import UserError, how_to_set

NAMED = 10
"""Number of recordings that a message names; the others are counted."""


def validate_corpus(recordings: Sequence[Recording], corpus: Corpus, *, allow_incomplete: bool) -> list[str]:
    """Compare the recordings of a corpus with its metadata.

    Parameters
    ----------
    recordings
        Recording table.
    corpus
        Metadata of the corpus.
    allow_incomplete
        Whether an incomplete corpus is accepted.

    Returns
    -------
    list of str
        The counts, and the differences from the published corpus.

    Raises
    ------
    UserError
        If several recordings have one name, or if recordings are missing or surplus and that is not accepted.
    """
    keys = Counter(key for one in recordings if (key := corpus.recording_key(PurePosixPath(one.file))))
    repeated = sorted(key for key, count in keys.items() if count > 1)
    if repeated:
        raise UserError(
            f"{corpus.name}: there are {keys[repeated[0]]} different recordings named {repeated[0]}; keep one of them."
        )
    difference = _describe_difference(set(keys), corpus)
    if difference and not allow_incomplete:
        raise UserError(
            f"{corpus.name}: {_counts(recordings, corpus)}; {difference}. Complete the folder, or accept an "
            f"incomplete corpus: {how_to_set('download.allow_incomplete', 'true')}."
        )
    return [f"{corpus.name}: {_counts(recordings, corpus)}{f'; {difference}' if difference else ''}."]


def _describe_difference(found: set[str], corpus: Corpus) -> str:
    expected = set(corpus.expected_files())
    if not expected:  # the published files are not listed
        return "" if len(found) == corpus.n_recordings else "which ones differ is unknown"
    differences = {"missing": expected - found, "not of the published corpus": found - expected}
    return ", ".join(f"{what}: {name_some(names)}" for what, names in differences.items() if names)


def _counts(recordings: Sequence[Recording], corpus: Corpus) -> str:
    known = [recording for recording in recordings if recording.speaker]
    counts = {
        "recordings": (len(known), corpus.n_recordings),
        "speakers": (len({recording.speaker for recording in known}), len(corpus.speaker_sex)),
        "emotions": (len({recording.emotion for recording in known}), len(set(corpus.emotions.values()))),
    }
    return ", ".join(f"{found} of {published} {what}" for what, (found, published) in counts.items())


def name_some(names: Collection[str]) -> str:
    """List the first names, and count the rest."""
    first = sorted(names)[:NAMED]
    rest = len(names) - len(first)
    return ", ".join(first) + (f" and {rest} more" if rest else "")
