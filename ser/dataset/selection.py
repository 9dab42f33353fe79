"""Select the clips of a run: originals of its emotions, without duplicates."""

from pathlib import Path

import pandas as pd

from ser.labels import EMOTIONS, canonical_order, label_map
from ser.params import Emotions
from ser.utils.errors import UserError
from ser.utils.text import pluralize

EXCLUDED_COLUMNS = ("clip_id", "reason")


def select_clips(clips: pd.DataFrame, emotions: Emotions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select the original clips of the classes of a run, and the first of clips with equal audio.

    Parameters
    ----------
    clips : DataFrame
        Clip table; augmented clips are ignored.
    emotions : Emotions
        Section `emotions` of the settings.

    Returns
    -------
    selected : DataFrame
        Clips with their class as `emotion`, sorted by clip_id.
    excluded : DataFrame
        `EXCLUDED_COLUMNS` of the other originals, sorted by clip_id.

    Raises
    ------
    UserError
        If fewer than two classes have clips, the settings name an emotion that is neither canonical nor in a corpus, or
        clips with equal audio have different classes.
    """
    originals = clips[clips.augmentation == ""].sort_values("clip_id", ignore_index=True)
    _check_emotion_names(originals, emotions)
    labels = originals.emotion.map(label_map(emotions.classes, emotions.merge))
    first = originals.groupby("audio_sha256").clip_id.transform("first")
    is_duplicate = originals.clip_id != first
    _check_duplicates(originals.assign(label=labels.fillna("no class of this run"), first=first))
    selected = originals.assign(emotion=labels)[labels.notna() & ~is_duplicate].reset_index(drop=True)
    if selected.emotion.nunique() < 2:
        raise UserError(
            f"emotions.use leaves clips of {canonical_order(list(selected.emotion)) or 'no emotion'}; expected at "
            f"least two classes. The corpora have {', '.join(canonical_order(list(clips.emotion)))}."
        )
    no_class = "emotion " + originals.emotion + " is not a class of this run"
    reasons = no_class.where(~is_duplicate, "contains the same audio as " + first)
    excluded = originals.assign(reason=reasons)[labels.isna() | is_duplicate]
    return selected, excluded[list(EXCLUDED_COLUMNS)].reset_index(drop=True)


def describe_selection(clips: pd.DataFrame, excluded: pd.DataFrame, emotions: Emotions, *, file: Path) -> list[str]:
    """Count the clips that are in no split, by reason, and those whose label is merged into another: a line each.

    `clips` and `excluded` are the input and the result of `select_clips`; `file` is the path of the latter's table.
    """
    originals = clips[clips.augmentation == ""]
    lines = []
    if len(excluded):
        reasons = excluded.reason.str.replace(r"as (\w+)/.*", r"as a clip of \1", regex=True).value_counts(sort=False)
        counts = "; ".join(f"{reason} ({count})" for reason, count in reasons.items())
        lines.append(f"{len(excluded)} of {pluralize(len(originals), 'clip')} are in no split: {counts}: {file}")
    selected = originals[~originals.clip_id.isin(excluded.clip_id)]
    merged = selected.emotion[selected.emotion.isin(emotions.merge)].value_counts()
    if len(merged):
        listed = ", ".join(f"{emotion} to {emotions.merge[emotion]} ({count})" for emotion, count in merged.items())
        lines.append(f"{pluralize(merged.sum(), 'clip')} relabelled by emotions.merge: {listed}")
    return lines


def _check_emotion_names(clips: pd.DataFrame, emotions: Emotions) -> None:
    """Check that emotions of `extra` occur in the corpora, and those of `merge` there, in `EMOTIONS` or in `extra`."""
    available = set(clips.emotion)
    merged = {*emotions.merge, *emotions.merge.values()}
    unknown = {"extra": set(emotions.extra) - available, "merge": merged - {*EMOTIONS, *emotions.extra, *available}}
    for key, names in unknown.items():
        if names:
            raise UserError(
                f"emotions.{key}: no clip has the label {', '.join(sorted(names))}; the corpora have "
                f"{', '.join(canonical_order(list(clips.emotion)))}."
            )


def _check_duplicates(clips: pd.DataFrame) -> None:
    """Check that clips with equal audio have the same `label`."""
    expected = clips["first"].map(clips.set_index("clip_id").label)
    conflicts = clips[clips.label != expected]
    if len(conflicts):
        clip = conflicts.iloc[0]
        raise UserError(
            f"{clip['first']} ({expected[clip.name]}) and {clip.clip_id} ({clip.label}) have the same audio, but "
            f"different labels ({len(conflicts)} such clips); correct the labels, or remove one of them."
        )
