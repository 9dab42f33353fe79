"""A recording becomes a clean mono clip; whatever else there is becomes one clear reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.audio import clean as audio_clean
from ser.audio.io import AudioError
from ser.params import Preprocess
from tests.helpers import factories
from tests.helpers.signals import RATE, encode, level_db, noise, pitch, silence, sine

TONE = sine(440, seconds=0.5)
FLAC = encode(noise(seconds=0.5), kind="FLAC")
PLAIN: dict[str, Any] = {
    "sample_rate": RATE,
    "denoise_strength": 0,
    "trim_top_db": 40,
    "normalize": "none",
    "target_level_db": -23,
    "min_duration": 0.3,
}


def preprocess(**changes: Any) -> Preprocess:
    return factories.settings(preprocess=PLAIN | changes).preprocess


def flac_of_length(announced: int) -> bytes:
    """Rewrite the 36 bits in which a FLAC file announces its samples; 0 is unknown."""
    content = bytearray(FLAC)
    bits = int.from_bytes(content[18:26], "big") >> 36 << 36
    content[18:26] = (bits | announced).to_bytes(8, "big")
    return bytes(content)


UNUSABLE = {
    "text": (b"Dogs are sitting by the door\n" * 99, "not decodable as audio"),
    "nothing": (b"", "the file is empty"),
    "header": (encode(silence(0)), "holds no samples"),
    "cut header": (encode(TONE)[:30], "not decodable as audio"),
    "cut WAV": (encode(TONE)[:-1000], "cut short: the header announces 16000 bytes, the file holds 15000"),
    "cut AIFF": (encode(TONE, kind="AIFF")[:-1000], "cut short"),
    "cut FLAC": (FLAC[:-1000], "not decodable as audio: the FLAC file ends early or is broken .*copy it anew"),
    "half a FLAC": (FLAC[: len(FLAC) // 2], "the FLAC file ends early or is broken"),
    "cut FLAC header": (FLAC[:42], "the FLAC file ends early or is broken"),
    "hardly a FLAC": (FLAC[:4], "the FLAC file ends early or is broken"),
    "broken FLAC": (FLAC[:4000] + bytes(99) + FLAC[4099:], "the FLAC file ends early or is broken"),
    "FLAC of unknown length": (flac_of_length(0), "length|not decodable as audio"),
    "FLAC longer than memory": (flac_of_length(2**36 - 1), "too long: 1193.0 hours"),
    "digital silence": (encode(silence(1)), "all silence"),
    "opposite channels": (encode(np.stack([TONE, -TONE], axis=1), subtype="FLOAT"), "all silence"),
    "not a number": (encode(np.where(TONE > 0.49, np.nan, TONE), subtype="FLOAT"), "not numbers"),
    "infinity": (encode(np.where(TONE > 0.49, np.inf, TONE), subtype="FLOAT"), "not numbers"),
    "one sample": (encode(TONE[1:2], rate=48000), "too short: 0.00 s"),
    "short": (encode(sine(440, seconds=0.2)), "too short: 0.20 s"),
    "short once trimmed": (encode(np.concatenate([silence(1), TONE[:1600], silence(1)])), "too short: 0.1"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_input_gives_one_clear_reason(name: str, tmp_path: Path) -> None:
    """What cannot become a clip ends in an AudioError that says why in one line, and in no other error."""
    content, reason = UNUSABLE[name]
    file = tmp_path / "recording.wav"
    file.write_bytes(content)
    with pytest.raises(AudioError, match=reason) as caught:
        audio_clean.clean(file, preprocess())
    assert "\n" not in str(caught.value)


def test_a_recording_whose_sound_lies_beyond_the_band_is_silence() -> None:
    """Of a 12 kHz tone nothing is left at 16 kHz; the rounding errors that remain are not made a clip of."""
    tone = sine(12000, rate=48000)
    faded = tone * np.hanning(len(tone)).astype(np.float32)
    with pytest.raises(AudioError, match="silence"):
        audio_clean.clean(encode(faded, rate=48000), preprocess(normalize="rms"))


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_clips_have_the_rate_of_the_settings(rate: int) -> None:
    """Whatever the recording's rate, a clip lasts as long and sounds as high at the rate of the settings."""
    clip = audio_clean.clean(encode(sine(440, rate=rate), rate=rate), preprocess(sample_rate=8000, trim_top_db=None))
    assert len(clip) == 8000
    assert pitch(clip, rate=8000) == pytest.approx(440, abs=0.2)


def test_a_file_and_its_bytes_give_the_same_clip(tmp_path: Path) -> None:
    """`clean` takes a path as well as bytes, and gives the same samples every time."""
    file = tmp_path / "noisy.wav"
    file.write_bytes(encode(TONE + noise(seconds=0.5, level_db=-50), rate=22050))
    settings = preprocess(denoise_strength=0.5, normalize="rms", min_duration=0.1)
    assert audio_clean.clean(file, settings).tobytes() == audio_clean.clean(file.read_bytes(), settings).tobytes()


def test_published_files_become_clips(corpora: Path) -> None:
    """Stereo, 96 kHz, AIFF named .wav: the corpora's own quirks give clips of speech at the level of the settings."""
    files = sorted((corpora / "originals").rglob("*.wav"))
    if not files:
        pytest.skip(f"{corpora}/originals holds no recordings")
    for file in files:
        clip = audio_clean.clean(file, preprocess(denoise_strength=0.5, normalize="rms"))
        assert 1 < len(clip) / RATE < 3, file
        assert level_db(clip) == pytest.approx(-23, abs=0.01), file
