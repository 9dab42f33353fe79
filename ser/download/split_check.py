"""Check after a download whether the recordings can be split, which the stage split would refuse much later."""

import pandas as pd

from ser import paths
from ser.corpora.base import published_folds
from ser.dataset.clips import COLUMNS
from ser.dataset.recordings import read_recordings
from ser.dataset.splits import check_corpus, split_clips
from ser.params import Params
from ser.utils.errors import UserError
from ser.utils.files import file_hash


def describe_split_problem(params: Params, *, corpus: str) -> list[str]:
    """Describe in one line why the run cannot be split, with settings that would work; empty if it can be.

    If all corpora of the run are downloaded, they are split as in the stage split. Otherwise only what does not depend
    on the other corpora is checked. Recordings that preprocessing will reject are not known yet.

    Parameters
    ----------
    params : Params
        All settings.
    corpus : str
        The corpus that was downloaded last.
    """
    if corpus not in params.corpora:
        return []
    is_complete = all(paths.recordings(name).is_file() for name in params.corpora)
    names, check = (params.corpora, split_clips) if is_complete else ([corpus], check_corpus)
    clips = pd.concat([_as_clips(name) for name in names], ignore_index=True)
    try:
        published = published_folds(names, params.split.fold_table)
        check(clips, params.split, emotions=params.emotions, seed=params.data_seed, published=published)
    except UserError as error:
        return [f"warning: the stage split will fail, unless recordings or settings change: {error}"]
    return []


def _as_clips(corpus: str) -> pd.DataFrame:
    """Make the clip table that preprocessing would write if it rejected no more recordings, without lengths."""
    rows = []
    for recording in read_recordings(paths.recordings(corpus)):
        if not recording.rejection_reason:
            clip_id, path = f"{corpus}/{recording.name}", paths.raw(corpus) / recording.file
            content = file_hash(path, "sha256") if path.is_file() else clip_id
            row = dict.fromkeys(("clip_id", "original_id", "recording_id"), clip_id) | {
                "corpus": corpus,
                "augmentation": "",
            }
            rows.append(vars(recording) | row | {"audio_sha256": content})
    return pd.DataFrame(rows, columns=list(COLUMNS))
