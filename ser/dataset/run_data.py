"""Describe the data of a run from the clip tables and the tables of the stage split."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ser.dataset.clip_metadata import n_known_speakers
from ser.dataset.clips import read_clips
from ser.labels import canonical_order
from ser.utils.errors import UserError
from ser.utils.text import join_names, pluralize


def describe_data(tables: Sequence[Path], splits: Path, excluded: Path, *, styles: Mapping[str, str]) -> dict[str, str]:
    """Describe which emotions, clips and speakers the models of a run know.

    Parameters
    ----------
    tables : sequence of Path
        Clip tables of the corpora.
    splits, excluded : Path
        The tables data/splits.csv and data/excluded.csv.
    styles : mapping of str to str
        Corpus -> style of the speech, such as ``acted``.

    Returns
    -------
    dict
        {subject: description}: emotions, clips left out, recordings of several segments, languages, style of speech,
        training speakers per fold, and the number of tested sentences that also occur in training.

    Raises
    ------
    UserError
        If a table of the stage split is missing.
    """
    try:
        assigned, left_out = (pd.read_csv(path, dtype={"clip_id": str, "reason": str}) for path in (splits, excluded))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} not found; run `dvc repro split` to create it.") from None
    metadata = read_clips(tables)[["clip_id", "recording_id", "corpus", "speaker", "language", "sentence"]]
    rows = assigned.merge(metadata, on="clip_id")
    return {
        "Emotions": ", ".join(canonical_order(list(rows.emotion))),
        "Left out": _describe_excluded(left_out, n_clips=rows.clip_id.nunique() + len(left_out)),
        "Recordings split into segments": f"{_count_segmented(rows):,} of {rows.recording_id.nunique():,}",
        "Languages": ", ".join(sorted(set(rows.language) - {""})) or "unknown",
        "Style of speech": _describe_styles(styles),
        "Training speakers": _describe_training_speakers(rows),
        "Tested sentences that are also in training": _describe_sentences(rows),
    }


def _describe_excluded(excluded: pd.DataFrame, *, n_clips: int) -> str:
    reasons = excluded.reason.str.replace(r"^emotion (.+) is not a class of this run$", r"\1", regex=True)
    reasons = reasons.str.replace(r"^contains the same audio as .*", "same audio as another clip", regex=True)
    if reasons.empty:
        return f"none of {pluralize(n_clips, 'clip')}"
    counts = [f"{reason} ({count:,})" for reason, count in sorted(reasons.value_counts().items())]
    return f"{len(excluded):,} of {pluralize(n_clips, 'clip')}: {', '.join(counts)}"


def _count_segmented(rows: pd.DataFrame) -> int:
    return int((rows.groupby("recording_id").clip_id.nunique() > 1).sum())


def _describe_styles(styles: Mapping[str, str]) -> str:
    corpora = {
        style: sorted(name for name in styles if styles[name] == style) for style in sorted(set(styles.values()))
    }
    if len(corpora) == 1:
        return next(iter(corpora))
    return "; ".join(f"{style} ({join_names(names)})" for style, names in corpora.items())


def _describe_training_speakers(rows: pd.DataFrame) -> str:
    training = rows[rows.split == "train"]
    counts = [n_known_speakers(fold) for _, fold in training.groupby("fold")]
    if not max(counts, default=0):
        return "unknown"
    number = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"{number} per fold" if len(counts) > 1 else number


def _describe_sentences(rows: pd.DataFrame) -> str:
    sentences = rows[rows.sentence != ""]
    keys = ["corpus", "sentence", "fold"]  # codes of sentences are only comparable within a corpus
    tested = sentences.loc[sentences.split == "test", keys].drop_duplicates()
    shared = tested.merge(sentences.loc[sentences.split == "train", keys].drop_duplicates(), on=keys)
    n_tested, n_shared = (len(table[["corpus", "sentence"]].drop_duplicates()) for table in (tested, shared))
    return f"{n_shared:,} of {n_tested:,}" if n_tested else "unknown"
