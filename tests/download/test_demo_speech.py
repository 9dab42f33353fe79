"""The demo corpus is complete, each clip is reproducible, and its acoustics match the table of prosodies."""

import ctypes
import importlib
import sys

import librosa
import numpy as np
import pytest

from ser.download import demo_speech
from ser.download.demo_speech import PROSODIES, SAMPLE_RATE, SPEAKERS, Utterance
from ser.utils.errors import UserError

SEED = 7
FRAME, HOP = 1024, 256


def clip(name: str) -> np.ndarray:
    return demo_speech.synthesize(Utterance(*name.split("_")), seed=SEED)


def speech(name: str) -> np.ndarray:
    """Trim the silence before and after the speech."""
    return librosa.effects.trim(clip(name), top_db=35, frame_length=FRAME, hop_length=HOP)[0]


def level(name: str) -> float:
    return float(20 * np.log10(np.std(speech(name))))


def f0(name: str) -> np.ndarray:
    """Estimate the F0 of voiced frames in Hz."""
    track, voiced, _ = librosa.pyin(
        speech(name), fmin=55, fmax=550, sr=SAMPLE_RATE,
        frame_length=FRAME, hop_length=HOP, resolution=0.3,
    )  # fmt: skip
    frames: np.ndarray = track[voiced]
    return frames


@pytest.fixture
def unvaried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Synthesize the prosodies of the table, without variation between speakers and clips."""
    monkeypatch.setattr(demo_speech, "_vary", lambda prosody, _rng: prosody)


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_each_voice_is_audible(speaker: str) -> None:
    """A clip is finite float32 in [-1, 1] and has the length of a sentence."""
    samples = clip(f"{speaker}_neutral_kids")
    assert (samples.dtype, samples.ndim) == (np.float32, 1)
    assert 0.1 < np.abs(samples).max() <= 1.0
    assert 1.0 < len(samples) / SAMPLE_RATE < 4.0


def test_clips_depend_only_on_utterance_and_seed() -> None:
    """A clip has the same bytes in any order of synthesis, and others with another seed."""
    utterances = demo_speech.utterances()[::37]
    expected = [demo_speech.synthesize(utterance, seed=SEED).tobytes() for utterance in utterances]
    for i in np.random.default_rng(0).permutation(len(utterances)):
        assert demo_speech.synthesize(utterances[i], seed=SEED).tobytes() == expected[i]
    assert demo_speech.synthesize(utterances[0], seed=SEED + 1).tobytes() != expected[0]


@pytest.mark.usefixtures("unvaried")
@pytest.mark.parametrize("speaker", ["03", "08"])
def test_pitch_and_range_of_emotions(speaker: str) -> None:
    """Median F0 follows the table within 12 %; the F0 range is wider in anger and joy, and narrower in sadness."""

    def f0_range(emotion: str) -> float:
        low, high = np.percentile(f0(f"{speaker}_{emotion}_table"), [10, 90])
        return float(high - low)

    neutral = np.median(f0(f"{speaker}_neutral_kids"))
    for emotion in ("fearful", "happy", "angry", "disgust"):
        ratio = np.median(f0(f"{speaker}_{emotion}_kids")) / neutral
        assert ratio == pytest.approx(PROSODIES[emotion].pitch, rel=0.12), emotion
        assert emotion != "fearful" or ratio >= 1.6
    neutral_range = f0_range("neutral")
    assert min(f0_range("angry"), f0_range("happy")) > 1.3 * neutral_range
    assert f0_range("sad") < 0.8 * neutral_range


@pytest.mark.usefixtures("unvaried")
def test_tempo_level_and_rise_of_emotions() -> None:
    """Tempo follows the table within 12 %; sad speech is slow and soft, angry speech loud; surprise has rising F0."""
    neutral = len(speech("05_neutral_kids"))
    for emotion in ("fearful", "happy", "angry", "calm", "disgust"):
        tempo = neutral / len(speech(f"05_{emotion}_kids"))
        assert tempo == pytest.approx(PROSODIES[emotion].tempo, rel=0.12), emotion
    assert len(speech("05_sad_kids")) > 1.3 * neutral
    assert level("05_sad_kids") < level("05_neutral_kids") - 4
    assert level("05_angry_kids") == pytest.approx(level("05_neutral_kids") + 6, abs=2)
    first, _, last = (np.median(part) for part in np.array_split(f0("07_neutral_table"), 3))
    assert last < first
    first, _, last = (np.median(part) for part in np.array_split(f0("07_surprised_table"), 3))
    assert last > 1.1 * first


def test_a_missing_library_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package to install."""
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match="espeakng-loader"):
        demo_speech.synthesize(Utterance("01", "calm", "kids"), seed=SEED)


def test_a_library_in_use_is_refused() -> None:
    """A library that was loaded before may have another state, which would change the samples."""
    library = ctypes.CDLL(importlib.import_module("espeakng_loader").get_library_path())
    try:
        with pytest.raises(UserError, match="in use"):
            demo_speech.synthesize(Utterance("01", "calm", "kids"), seed=SEED)
    finally:
        demo_speech._unload(library)
