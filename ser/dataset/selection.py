"""Select the clips of a run: originals of its emotions, each recording once."""

import pandas as pd

from ser.labels import EMOTIONS, canonical_order, label_map
from ser.params import Emotions
from ser.utils.errors import UserError

EXCLUDED_COLUMNS = ("clip_id", "reason")


def select_clips(clips: pd.DataFrame, emotions: Emotions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the clips of a run: originals of its classes, each sound once.

    Parameters
    ----------
    clips
        A clip table; copies in it are left aside.
    emotions
        The section `emotions` of the settings.

    Returns
    -------
    chosen : DataFrame
        Clips with merged emotions renamed, sorted by clip_id.
    left_out : DataFrame
        `EXCLUDED_COLUMNS` of the other originals, sorted by clip_id.

    Raises
    ------
    UserError
        If fewer than two classes have clips, or the settings name an emotion beyond the usual that no corpus has.
    """
    originals = clips[clips.augmentation == ""].sort_values("clip_id", ignore_index=True)
    _check_named(originals, emotions)
    labels = originals.emotion.map(label_map(emotions.classes, emotions.merge))
    first = originals.groupby("audio_sha256").clip_id.transform("first")
    repeated = originals.clip_id != first
    chosen = originals.assign(emotion=labels)[labels.notna() & ~repeated].reset_index(drop=True)
    if chosen.emotion.nunique() < 2:
        raise UserError(
            f"emotions.use leaves clips of {canonical_order(list(chosen.emotion)) or 'no emotion'}; "
            f"at least two classes are needed, and the corpora have {', '.join(canonical_order(list(clips.emotion)))}."
        )
    reasons = ("emotions: " + originals.emotion + " is none of this run's").where(
        ~repeated, "holds the same sound as " + first
    )
    left_out = originals.assign(reason=reasons)[labels.isna() | repeated]
    return chosen, left_out[list(EXCLUDED_COLUMNS)].reset_index(drop=True)


def _check_named(clips: pd.DataFrame, emotions: Emotions) -> None:
    """Refuse words that mean nothing here: of the usual emotions a corpus may lack some, other words must be found."""
    named = {"extra": set(emotions.extra), "merge": set(emotions.merge) | set(emotions.merge.values())}
    found = {*EMOTIONS, *emotions.extra, *clips.emotion}
    for key, words in named.items():
        unknown = sorted(words - (found if key == "merge" else set(clips.emotion)))
        if unknown:
            raise UserError(
                f"emotions.{key}: no clip is labelled {', '.join(unknown)}; the corpora have "
                f"{', '.join(canonical_order(list(clips.emotion)))}."
            )
