"""The synthetic corpus is complete, repeatable clip by clip, and expresses what it says."""

import ctypes
import importlib
import sys
from collections.abc import Iterator
from functools import cache

import librosa
import numpy as np
import pytest

from ser.download import demo_speech
from ser.download.demo_speech import PROSODIES, SAMPLE_RATE, SPEAKERS, TEXTS, Prosody, Utterance
from ser.utils.errors import UserError

SEED = 7
FRAME, HOP = 1024, 256


@cache
def clip(name: str) -> np.ndarray:
    return demo_speech.synthesise(Utterance(*name.split("_")), seed=SEED)


def speech(name: str) -> np.ndarray:
    """Cut the silence before and after."""
    return librosa.effects.trim(clip(name), top_db=35, frame_length=FRAME, hop_length=HOP)[0]


@cache
def f0(name: str) -> np.ndarray:
    """F0 of the voiced frames, in Hz."""
    track, voiced, _ = librosa.pyin(
        speech(name), fmin=55, fmax=550, sr=SAMPLE_RATE,
        frame_length=FRAME, hop_length=HOP, resolution=0.3,
    )  # fmt: skip
    frames: np.ndarray = track[voiced]
    return frames


def forget() -> None:
    clip.cache_clear()
    f0.cache_clear()


def f0_range(name: str) -> float:
    low, high = np.percentile(f0(name), [10, 90])
    return float(high - low)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Speak the table as it stands, without variation by speaker and clip."""

    def unvaried(prosody: Prosody, _rng: np.random.Generator, *, amount: float) -> Prosody:
        return prosody

    monkeypatch.setattr(demo_speech, "_vary", unvaried)
    forget()
    yield
    forget()


def test_every_speaker_says_every_text_in_every_emotion_once() -> None:
    """The list holds 12 speakers x 8 emotions x 3 texts, sorted, under distinct names."""
    listed = demo_speech.utterances()
    assert listed == sorted(listed)
    assert len({u.name for u in listed}) == len(listed) == 288
    assert (len(SPEAKERS), len(PROSODIES), len(TEXTS)) == (12, 8, 3)
    assert sorted(s.sex for s in SPEAKERS.values()) == ["f"] * 6 + ["m"] * 6
    assert Utterance("03", "angry", "kids").name == "03_angry_kids"


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_every_voice_speaks(speaker: str) -> None:
    """A clip is finite float32 within full scale, audible, and of a sentence's length."""
    samples = clip(f"{speaker}_neutral_kids")
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.isfinite(samples).all()
    assert 0.1 < np.abs(samples).max() <= 1.0
    assert 1.0 < len(samples) / SAMPLE_RATE < 4.0


def test_clips_do_not_depend_on_what_was_spoken_before() -> None:
    """Every clip has the same bytes whatever the order in which clips are made."""
    chosen = demo_speech.utterances()[::37]
    forward = {u: demo_speech.synthesise(u, seed=SEED).tobytes() for u in chosen}
    order = np.random.default_rng(0).permutation(len(chosen))
    assert all(demo_speech.synthesise(chosen[i], seed=SEED).tobytes() == forward[chosen[i]] for i in order)


def test_seed_changes_the_clip() -> None:
    """Another seed gives another rendering of the same utterance."""
    utterance = Utterance("02", "happy", "kids")
    one, two = (demo_speech.synthesise(utterance, seed=s) for s in (1, 2))
    assert one.tobytes() != two.tobytes()


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("speaker", ["03", "08"])
def test_emotions_have_their_pitch(speaker: str) -> None:
    """Median F0 follows the table within 12 %, and fear's is at least 1.6 times neutral's."""
    neutral = np.median(f0(f"{speaker}_neutral_kids"))
    for emotion in ("fearful", "happy", "angry", "disgust"):
        ratio = np.median(f0(f"{speaker}_{emotion}_kids")) / neutral
        assert ratio == pytest.approx(PROSODIES[emotion].pitch, rel=0.12), emotion
        assert emotion != "fearful" or ratio >= 1.6


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("speaker", ["03", "08"])
def test_emotions_have_their_range(speaker: str) -> None:
    """F0 moves more in anger and joy than in neutral speech, and less in sadness."""
    neutral = f0_range(f"{speaker}_neutral_table")
    assert f0_range(f"{speaker}_angry_table") > 1.3 * neutral
    assert f0_range(f"{speaker}_happy_table") > 1.3 * neutral
    assert f0_range(f"{speaker}_sad_table") < 0.8 * neutral


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("emotion", ["fearful", "happy", "angry", "calm", "disgust"])
def test_emotions_have_their_tempo(emotion: str) -> None:
    """The length of the speech follows the table's tempo within 12 %."""
    tempo = len(speech("05_neutral_kids")) / len(speech(f"05_{emotion}_kids"))
    assert tempo == pytest.approx(PROSODIES[emotion].tempo, rel=0.12)


@pytest.mark.usefixtures("plain")
def test_sadness_is_slow_and_soft_and_anger_loud() -> None:
    """Sad speech is longer than neutral and softer; angry speech is about 6 dB louder."""

    def level(name: str) -> float:
        return float(20 * np.log10(np.std(speech(name))))

    assert len(speech("05_sad_kids")) > 1.3 * len(speech("05_neutral_kids"))
    assert level("05_sad_kids") < level("05_neutral_kids") - 4
    assert level("05_angry_kids") == pytest.approx(level("05_neutral_kids") + 6, abs=2)


@pytest.mark.usefixtures("plain")
def test_surprise_rises() -> None:
    """Surprised speech ends higher than it began, where neutral speech falls."""

    def rise(name: str) -> float:
        thirds = np.array_split(f0(name), 3)
        return float(np.median(thirds[2]) / np.median(thirds[0]))

    assert rise("07_neutral_table") < 1.0
    assert rise("07_surprised_table") > 1.1


def test_missing_espeak_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel the message says what is missing and what to do."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match="install it"):
        demo_speech.synthesise(Utterance("01", "calm", "kids"), seed=SEED)


def test_foreign_espeak_is_refused() -> None:
    """A copy that others loaded keeps its state, so it is refused rather than shared."""
    loader = importlib.import_module("espeakng_loader")
    foreign = ctypes.CDLL(loader.get_library_path())
    try:
        with pytest.raises(UserError, match="in use"):
            demo_speech.synthesise(Utterance("01", "calm", "kids"), seed=SEED)
    finally:
        demo_speech._unload(foreign)
