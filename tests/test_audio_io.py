"""Whatever libsndfile decodes becomes a clean mono clip; whatever else there is becomes one clear reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import pytest
import tables
from signals import RATE, encode, level_db, noise, pitch, silence, sine

from ser import audio_io
from ser.audio_io import AudioError
from ser.params import Preprocess

TONE = sine(440, seconds=0.5)
FLAC = encode(noise(seconds=0.5), kind="FLAC")
PLAIN: dict[str, Any] = {
    "sample_rate": RATE,
    "denoise": 0,
    "trim_db": 40,
    "normalise": "none",
    "level_db": -23,
    "min_seconds": 0.3,
}


def preprocess(**changes: Any) -> Preprocess:
    return tables.settings(preprocess=PLAIN | changes).preprocess


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "FLOAT", 0),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
        ("AIFF", "PCM_16", 2**-15),
        ("OGG", "VORBIS", 0.05),
    ],
)
def test_content_is_decoded_whatever_the_suffix(kind: str, subtype: str, tolerance: float, tmp_path: Path) -> None:
    """A file named .wav gives the samples and the rate that were encoded, in any format and width."""
    file = tmp_path / "tone.wav"
    file.write_bytes(encode(TONE, rate=24414, kind=kind, subtype=subtype))
    samples, rate = audio_io.decode(file)
    assert (samples.shape, samples.dtype, rate) == ((len(TONE), 1), np.float32, 24414)
    np.testing.assert_allclose(samples[:, 0], TONE, atol=tolerance)


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
        audio_io.clean(file, preprocess())
    assert "\n" not in str(caught.value)


def test_a_recording_whose_sound_lies_beyond_the_band_is_silence() -> None:
    """Of a 12 kHz tone nothing is left at 16 kHz; the rounding errors that remain are not made a clip of."""
    tone = sine(12000, rate=48000)
    faded = tone * np.hanning(len(tone)).astype(np.float32)
    with pytest.raises(AudioError, match="silence"):
        audio_io.clean(encode(faded, rate=48000), preprocess(normalise="rms"))


def test_a_streamed_wav_is_read() -> None:
    """A WAV whose header leaves the length open, as programs write it to a pipe, is whole."""
    streamed = encode(TONE)[:40] + b"\xff" * 4 + encode(TONE)[44:]
    assert len(audio_io.decode(streamed)[0]) == len(TONE)


def test_channels_are_averaged() -> None:
    """Mono is the mean of the channels."""
    stereo = np.stack([np.full(8000, 0.6), np.full(8000, -0.2)], axis=1).astype(np.float32)
    np.testing.assert_allclose(audio_io.mono(stereo), np.full(8000, 0.2), rtol=1e-6)
    assert audio_io.mono(stereo).dtype == np.float32


@pytest.mark.parametrize("rate", [8000, 22050, 24414, 48000, 96000])
def test_a_tone_keeps_its_pitch_level_and_length_at_another_rate(rate: int) -> None:
    """Resampling changes the number of samples and nothing that is heard."""
    resampled = audio_io.resample(sine(1000, rate=rate), rate=rate, to=RATE)
    assert len(resampled) == RATE
    assert pitch(resampled) == pytest.approx(1000, abs=0.2)
    assert level_db(resampled[1600:-1600]) == pytest.approx(level_db(sine(1000)), abs=0.05)


def test_what_lies_beyond_half_the_new_rate_is_removed() -> None:
    """Resampling folds no tone back into the band."""
    resampled = audio_io.resample(sine(12000, rate=48000), rate=48000, to=RATE)
    assert level_db(resampled[1600:-1600]) < -90


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_clips_have_the_rate_of_the_settings(rate: int) -> None:
    """Whatever the recording's rate, a clip lasts as long and sounds as high at the rate of the settings."""
    clip = audio_io.clean(encode(sine(440, rate=rate), rate=rate), preprocess(sample_rate=8000, trim_db=None))
    assert len(clip) == 8000
    assert pitch(clip, rate=8000) == pytest.approx(440, abs=0.2)


def test_a_file_and_its_bytes_give_the_same_clip(tmp_path: Path) -> None:
    """`clean` takes a path as well as bytes, and gives the same samples every time."""
    file = tmp_path / "noisy.wav"
    file.write_bytes(encode(TONE + noise(seconds=0.5, level_db=-50), rate=22050))
    settings = preprocess(denoise=0.5, normalise="rms", min_seconds=0.1)
    assert audio_io.clean(file, settings).tobytes() == audio_io.clean(file.read_bytes(), settings).tobytes()


def peak_db(signal: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(signal).max()))


def loudness(signal: np.ndarray) -> float:
    return float(pyloudnorm.Meter(RATE).integrated_loudness(signal.astype(np.float64)))


@pytest.mark.parametrize(("method", "measure"), [("peak", peak_db), ("rms", level_db), ("loudness", loudness)])
@pytest.mark.parametrize("gain", [0.001, 2.0])
def test_normalisation_reaches_the_level(method: str, measure: Any, gain: float) -> None:
    """Loud or soft, a signal comes out at the level that was asked for."""
    signal = gain * (sine(440) + noise())
    assert measure(audio_io.normalise(signal, rate=RATE, method=method, level_db=-23)) == pytest.approx(-23, abs=0.02)


@pytest.mark.parametrize("method", ["peak", "rms", "loudness", "none"])
def test_normalisation_never_passes_full_scale(method: str) -> None:
    """A click in soft speech keeps below 0.99, and the rest keeps its proportion to it."""
    signal = sine(440, amplitude=0.01)
    signal[8000] = 2
    loud = audio_io.normalise(signal, rate=RATE, method=method, level_db=0)
    assert np.abs(loud).max() == pytest.approx(0.99, abs=1e-6)
    np.testing.assert_allclose(loud, signal * loud[8000] / 2, rtol=1e-5)


def test_normalisation_can_be_off() -> None:
    """`none` leaves every sample as it is."""
    np.testing.assert_array_equal(audio_io.normalise(TONE, rate=RATE, method="none", level_db=-23), TONE)


@pytest.mark.parametrize(("rate", "n_samples"), [(RATE, 4800), (RATE, 2007), (24000, 7204), (48000, 14408)])
def test_loudness_of_a_clip_shorter_than_a_block(rate: int, n_samples: int) -> None:
    """A clip of less than the 0.4 s that loudness is defined on is one block, at any length and rate."""
    clip = audio_io.normalise(noise()[:n_samples], rate=rate, method="loudness", level_db=-23)
    assert level_db(clip) == pytest.approx(-23, abs=4)  # K-weighting moves the loudness of noise by a few dB


def test_trimming_removes_surrounding_silence() -> None:
    """What is left is the sound, and at most a frame of 512 samples on either side."""
    trimmed = audio_io.trim(np.concatenate([silence(0.7), TONE, silence(0.4)]), below_db=40)
    start = np.flatnonzero(trimmed)[0]
    assert start <= 512
    assert len(TONE) <= len(trimmed) <= len(TONE) + 2 * 512
    np.testing.assert_array_equal(trimmed[start : start + len(TONE) - 1], TONE[1:])


def test_trimming_goes_by_the_loudest_frame() -> None:
    """A tail 30 dB below the rest is silence at 20 dB, none at 40, and all stays where trimming is off."""
    signal = np.concatenate([TONE, 10 ** (-30 / 20) * TONE])
    assert len(audio_io.trim(signal, below_db=20)) == pytest.approx(len(TONE), abs=512)
    assert len(audio_io.trim(signal, below_db=40)) == len(signal)
    assert audio_io.trim(np.pad(signal, 8000), below_db=None).shape == (len(signal) + 16000,)


@pytest.mark.parametrize(("share", "reduction_db"), [(0.5, 6), (0.9, 20)])
def test_denoising_lowers_the_noise_floor(share: float, reduction_db: float) -> None:
    """The floor sinks by the share of its amplitude that is taken away, and a loud sound within it stays."""
    signal = noise(seconds=3, level_db=-50)
    signal[24000:27200] += noise(seconds=0.2, level_db=-10, seed=1)
    clean = audio_io.denoise(signal, rate=RATE, share=share)
    assert clean.shape == signal.shape
    assert level_db(signal[:20000]) - level_db(clean[:20000]) == pytest.approx(reduction_db, abs=1.5)
    assert level_db(clean[24800:26400]) == pytest.approx(level_db(signal[24800:26400]), abs=0.5)


def test_denoising_can_be_off() -> None:
    """A share of 0 leaves every sample as it is."""
    np.testing.assert_array_equal(audio_io.denoise(noise(), rate=RATE, share=0), noise())


def test_flac_holds_the_signal_in_16_bits() -> None:
    """Encoding loses no more than half a step of 16 bits, once; samples beyond full scale do not wrap round."""
    signal = np.clip(noise(level_db=-10), -0.99, 0.99)
    once = audio_io.from_flac(audio_io.to_flac(signal, rate=RATE))
    assert once.dtype == np.float32
    assert np.abs(once - signal).max() <= 2**-16
    np.testing.assert_array_equal(audio_io.from_flac(audio_io.to_flac(once, rate=RATE)), once)
    beyond = np.array([1, -1, 1.5, -1.5], dtype=np.float32)
    np.testing.assert_allclose(audio_io.from_flac(audio_io.to_flac(beyond, rate=RATE)), [1, -1, 1, -1], atol=2**-15)


def test_flac_has_the_same_bytes_every_time() -> None:
    """Equal signals are equal files."""
    assert audio_io.to_flac(noise(), rate=RATE) == audio_io.to_flac(noise(), rate=RATE)


def test_published_files_become_clips(corpora: Path) -> None:
    """Stereo, 96 kHz, AIFF named .wav: the corpora's own quirks give clips of speech at the level of the settings."""
    files = sorted((corpora / "originals").rglob("*.wav"))
    if not files:
        pytest.skip(f"{corpora}/originals holds no recordings")
    for file in files:
        clip = audio_io.clean(file, preprocess(denoise=0.5, normalise="rms"))
        assert 1 < len(clip) / RATE < 3, file
        assert level_db(clip) == pytest.approx(-23, abs=0.01), file
