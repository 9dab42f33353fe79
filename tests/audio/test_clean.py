"""A recording becomes a clean mono clip or is rejected with a reason."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.audio import clean as audio_clean
from ser.audio.io import AudioError
from ser.params import Preprocess
from tests.helpers import factories
from tests.helpers.signals import RATE, encode, level_db, noise, silence, sine

TONE = sine(440, seconds=0.5)
FLAC = encode(noise(seconds=0.5), kind="FLAC")
DEFAULTS: dict[str, Any] = {
    "sample_rate": RATE,
    "denoise_strength": 0,
    "trim_top_db": 40,
    "normalize": "none",
    "target_level_db": -23,
    "min_duration": 0.3,
    "max_segment_seconds": 3,
}


def preprocess(**changes: Any) -> Preprocess:
    return factories.settings(preprocess=DEFAULTS | changes).preprocess


def clean(recording: Path | bytes, settings: Preprocess) -> np.ndarray:
    [segment] = audio_clean.clean_and_measure(recording, settings)[0]
    return segment


def flac_of_length(n_samples: int) -> bytes:
    """Replace the 36 bits of a FLAC file that declare its length; 0 is unknown."""
    content = bytearray(FLAC)
    bits = int.from_bytes(content[18:26], "big") >> 36 << 36
    content[18:26] = (bits | n_samples).to_bytes(8, "big")
    return bytes(content)


INVALID = {
    "nothing": (b"", "empty"),
    "no samples": (encode(silence(0)), "no samples"),
    "truncated WAV": (encode(TONE)[:-1000], "truncated: .*16000 bytes.*15000"),
    "truncated FLAC": (FLAC[:-1000], "not decodable as audio: .*FLAC"),
    "damaged FLAC": (FLAC[:4000] + bytes(99) + FLAC[4099:], "FLAC"),
    "FLAC of unknown length": (flac_of_length(0), "length|not decodable"),
    "FLAC longer than memory": (flac_of_length(2**36 - 1), "too long: .*1193.0 hours"),
    "digital silence": (encode(silence(1)), "all silence"),
    "NaN": (encode(np.where(TONE > 0.49, np.nan, TONE), subtype="FLOAT"), "not numbers"),
    "short": (encode(sine(440, seconds=0.2)), "too short: 0.20 s"),
    "short after trimming": (encode(np.concatenate([silence(1), TONE[:1600], silence(1)])), "too short: 0.1"),
}


@pytest.mark.parametrize(("content", "reason"), INVALID.values(), ids=INVALID)
def test_invalid_recording_has_a_reason(content: bytes, reason: str) -> None:
    """The reason has the values found and expected."""
    with pytest.raises(AudioError, match=reason):
        clean(content, preprocess())


@pytest.mark.parametrize(("gain", "flags"), [(-1, ("opposite_phase",)), (-0.8, ("opposite_phase",)), (0, ()), (1, ())])
def test_opposite_channels_do_not_cancel(gain: float, flags: tuple[str, ...]) -> None:
    """The phase of one is inverted, and the recording has a flag; other stereo recordings are averaged."""
    stereo = np.stack([TONE, np.float32(gain) * TONE], axis=1)
    for recording in (encode(stereo, subtype="FLOAT"), (stereo, RATE)):
        meter = audio_clean.LevelMeter()
        [segment] = chain.from_iterable(audio_clean.read_segments(recording, preprocess(), meter=meter))
        expected = (1 + abs(gain)) / 2 * TONE
        assert meter.stats().flags == flags
        assert level_db(segment) == pytest.approx(level_db(expected), abs=0.1)


def test_recording_beyond_the_band_is_silent() -> None:
    """A tone of 12 kHz is removed at 16 kHz, and the remaining rounding errors are not normalized to a clip."""
    tone = sine(12000, rate=48000)
    faded = tone * np.hanning(len(tone)).astype(np.float32)
    with pytest.raises(AudioError, match="silence"):
        clean(encode(faded, rate=48000), preprocess(normalize="rms"))


def test_published_recordings(corpora: Path) -> None:
    """Stereo, 96 kHz and AIFF named .wav become clips of speech at the level of the settings."""
    files = sorted((corpora / "originals").rglob("*.wav"))
    if not files:
        pytest.skip(f"{corpora}/originals holds no recordings")
    for file in files:
        clip = clean(file, preprocess(denoise_strength=0.5, normalize="rms"))
        assert 1 < len(clip) / RATE < 3, file
        assert level_db(clip) == pytest.approx(-23, abs=0.01), file
