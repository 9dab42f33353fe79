"""Find settings with which a run can be split, after a split was impossible."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from ser.labels import label_map
from ser.params import Emotions, Split

MERGED = {"calm": "neutral", "surprised": "happy", "disgust": "angry", "fearful": "sad"}
"""Emotion -> class of a similar emotion, as advice for rare emotions."""


def suggest_settings(
    split: Callable[[Split, Emotions], object], clips: pd.DataFrame, settings: Split, emotions: Emotions
) -> str:
    """Describe the smallest changes of settings with which a split is possible.

    Parameters
    ----------
    split : callable
        Splits with the given settings; raises a `UserError` if this is impossible.
    clips : DataFrame
        Original clips with the columns emotion and speaker.
    settings, emotions
        Sections `split` and `emotions` of the settings, with which the split is impossible.

    Returns
    -------
    str
        Sentence that starts with a space, with each setting that works; empty if none does.
    """

    def works(changes: dict[str, Any], use: dict[str, Any]) -> bool:
        try:
            changed = Split.model_validate(settings.model_dump() | changes)
            split(changed, Emotions.model_validate(emotions.model_dump() | use))
        except ValueError:  # also a `UserError`, and contradicting settings
            return False
        return True

    folds = _fewer_folds(clips, settings)
    kinds = [_other_folds(settings, folds), _other_protocols(settings, folds)]
    advice = [next((text for text, changes in kind if works(changes, {})), "") for kind in kinds]
    kinds = [_merged(clips, emotions), _left_out(clips, emotions)]
    advice += [next((text for text, use in kind if works({}, use)), "") for kind in kinds]
    found = [text for text in advice if text]
    return f" With these recordings, the following works: {', or '.join(found)}." if found else ""


def _fewer_folds(clips: pd.DataFrame, settings: Split) -> list[int]:
    """List smaller numbers of folds: up to ten, and those of speakers, sentences and clips per class of a corpus."""
    by = clips.groupby("corpus")
    counts = {*by.speaker.nunique(), *by.sentence.nunique(), *clips.groupby(["corpus", "emotion"]).size(), *range(11)}
    return sorted((int(count) for count in counts if 0 < count < settings.folds), reverse=True)


def _other_folds(settings: Split, folds: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    if settings.fold_table is not None:
        yield "split.fold_table: null", {"fold_table": None}
    yield from ((f"split.folds: {number}", {"folds": number}) for number in folds)


def _other_protocols(settings: Split, folds: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    names = {"speaker_independent": "", "random": " (optimistic scores)"}
    for name, comment in names.items():
        if name != settings.protocol:
            changes = {"protocol": name, "fold_table": None}
            text = f"split.protocol: {name}{comment}"
            yield text, changes
            yield from ((f"{text} with split.folds: {number}", changes | {"folds": number}) for number in folds)


def _rarest(clips: pd.DataFrame, emotions: Emotions) -> Iterator[list[str]]:
    """List the rarest class of the run, the two rarest, and so on, by speakers and clips; two others must remain."""
    labels = clips.emotion.map(label_map(emotions.classes, emotions.merge))
    counts = clips.groupby(labels).speaker.agg(["nunique", "size"]).sort_values(["nunique", "size"], kind="stable")
    names = list(counts.index)
    yield from (names[:n] for n in range(1, len(names) - 1))


def _merged(clips: pd.DataFrame, emotions: Emotions) -> Iterator[tuple[str, dict[str, Any]]]:
    present = set(clips.emotion)
    for rare in _rarest(clips, emotions):
        if all(MERGED.get(name) in present - {*rare, *emotions.merge} for name in rare):
            merge = {name: MERGED[name] for name in rare}
            listed = ", ".join(f"{name}: {target}" for name, target in (emotions.merge | merge).items())
            yield f"emotions.merge: {{{listed}}}", {"merge": emotions.merge | merge}


def _left_out(clips: pd.DataFrame, emotions: Emotions) -> Iterator[tuple[str, dict[str, Any]]]:
    for rare in _rarest(clips, emotions):
        kept = {key: [name for name in getattr(emotions, key) if name not in rare] for key in ("use", "extra")}
        changed = {key: names for key, names in kept.items() if names != list(getattr(emotions, key))}
        yield ", ".join(f"emotions.{key}: [{', '.join(names)}]" for key, names in changed.items()), changed
