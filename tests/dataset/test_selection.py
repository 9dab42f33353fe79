"""A run has originals of its emotions, each recording once, and names the clips that it leaves out."""

from typing import Any

import pytest

from ser.dataset.selection import select_clips
from ser.dataset.splits import split_clips
from ser.utils.errors import UserError
from tests.helpers import factories


def test_the_same_sound_is_in_one_split() -> None:
    """Of a recording under two names, in two corpora or one, the first alone is split; the others are named."""
    clips = factories.joined(factories.ravdess(), factories.tess())
    twins = {"tess/OAF_aa_angry": "ravdess/03-01-05-01-01-01-01", "tess/OAF_ab_sad": "tess/OAF_aa_sad"}
    clips["audio_sha256"] = clips.clip_id.map(twins).fillna(clips.audio_sha256)
    chosen, left_out = select_clips(clips, factories.emotions())
    assert dict(left_out.to_numpy()) == {twin: f"holds the same sound as {first}" for twin, first in twins.items()}
    assert set(chosen.clip_id) == set(clips.clip_id) - set(twins)
    made = split_clips(clips, factories.split("random"), emotions=factories.emotions(), seed=1)
    assert set(made.clip_id) == set(chosen.clip_id)


def test_an_emotion_beyond_the_usual_is_left_out_or_asked_for() -> None:
    """It is named with its reason, or becomes a class when the settings say so, or is counted as another."""
    clips = factories.ravdess()
    clips["emotion"] = clips.emotion.replace("calm", "bored")
    bored = clips.clip_id[clips.emotion == "bored"]
    left_out = select_clips(clips, factories.emotions())[1]
    assert list(left_out.clip_id) == sorted(bored)
    assert set(left_out.reason) == {"emotions: bored is none of this run's"}
    for emotions, counted in (
        (factories.emotions(extra=["bored"]), "bored"),
        (factories.emotions(bored="neutral"), "neutral"),
    ):
        chosen, left_out = select_clips(clips, emotions)
        assert left_out.empty
        assert set(chosen.emotion[chosen.clip_id.isin(bored)]) == {counted}


@pytest.mark.parametrize(("key", "emotions"), [("extra", {"extra": ["bord"]}), ("merge", {"bord": "neutral"})])
def test_a_word_that_no_clip_has_is_refused(key: str, emotions: dict[str, Any]) -> None:
    """A misspelt emotion would else change nothing, in silence."""
    with pytest.raises(UserError, match=rf"emotions\.{key}: no clip is labelled bord; the corpora have neutral, calm"):
        select_clips(factories.ravdess(), factories.emotions(**emotions))
