"""Test the selection of clips: originals of the classes, without duplicates; other clips are listed with a reason."""

from typing import Any

import pytest

from ser.dataset.selection import select_clips
from ser.dataset.splits import split_clips
from ser.utils.errors import UserError
from tests.helpers import factories


def test_duplicates_are_excluded() -> None:
    """Of clips with equal audio, in one or several corpora, only the first is used."""
    clips = factories.joined(factories.ravdess(), factories.tess())
    duplicates = {"tess/OAF_aa_angry": "ravdess/03-01-05-01-01-01-01", "tess/OAF_ab_sad": "tess/OAF_aa_sad"}
    clips["audio_sha256"] = clips.clip_id.map(duplicates).fillna(clips.audio_sha256)
    selected, excluded = select_clips(clips, factories.emotions())
    assert list(excluded.clip_id) == sorted(duplicates)
    assert all(duplicates[clip_id] in reason for clip_id, reason in excluded.to_numpy())
    assert set(selected.clip_id) == set(clips.clip_id) - set(duplicates)
    split = split_clips(clips, factories.split("random"), emotions=factories.emotions(), seed=1)
    assert set(split.clip_id) == set(selected.clip_id)


@pytest.mark.parametrize(
    ("emotions", "is_conflict"),
    [({}, True), ({"calm": "neutral"}, False), ({"use": ("angry", "sad")}, False), ({"use": ("calm", "sad")}, True)],
)
def test_duplicates_with_different_classes_are_an_error(emotions: dict[str, Any], is_conflict: bool) -> None:
    """The message names both clips and classes; labels that the run merges or does not use do not matter."""
    clips = factories.joined(factories.ravdess(), factories.tess())
    first, other = "ravdess/03-01-02-01-01-01-01", "tess/OAF_aa_neutral"
    clips["audio_sha256"] = clips.audio_sha256.replace(other, first)
    settings = factories.emotions(*emotions.get("use", ()), **{k: v for k, v in emotions.items() if k != "use"})
    if not is_conflict:
        assert other in set(select_clips(clips, settings)[1].clip_id)
        return
    with pytest.raises(UserError, match=rf"{first} \(calm\) and {other} .*same audio"):
        select_clips(clips, settings)


@pytest.mark.parametrize(
    ("emotions", "label"),
    [({}, None), ({"extra": ["bored"]}, "bored"), ({"bored": "neutral"}, "neutral")],
)
def test_emotion_that_is_not_canonical(emotions: dict[str, Any], label: str | None) -> None:
    """It is excluded, unless it is an extra class or merged into another one."""
    clips = factories.ravdess()
    clips["emotion"] = clips.emotion.replace("calm", "bored")
    bored = clips.clip_id[clips.emotion == "bored"]
    selected, excluded = select_clips(clips, factories.emotions(**emotions))
    assert list(excluded.clip_id) == (sorted(bored) if label is None else [])
    assert excluded.reason.str.contains("bored").all()
    assert set(selected.emotion[selected.clip_id.isin(bored)]) == {label} - {None}


@pytest.mark.parametrize(("key", "emotions"), [("extra", {"extra": ["bord"]}), ("merge", {"bord": "neutral"})])
def test_unknown_emotion_is_an_error(key: str, emotions: dict[str, Any]) -> None:
    """A misspelt name would have no effect otherwise."""
    with pytest.raises(UserError, match=rf"emotions\.{key}: .* bord; .* neutral, calm"):
        select_clips(factories.ravdess(), factories.emotions(**emotions))
