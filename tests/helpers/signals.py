"""Signals whose answer is known, files that hold them, and measures of what became of them."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from ser.audio import io as audio_io
from ser.dataset.clips import AUDIO, clip_writer
from tests.helpers import factories

RATE = 16000


def sine(hz: float, *, seconds: float = 1.0, amplitude: float = 0.5, rate: int = RATE) -> np.ndarray:
    """Make a sine: (n_samples,) float32."""
    times = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def noise(*, seconds: float = 1.0, level_db: float = -20, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Make white noise of an RMS level in dBFS: (n_samples,) float32."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (10 ** (level_db / 20) * samples).astype(np.float32)


def harmonics(hz: float, *, ratio_db: float = 60) -> np.ndarray:
    """Make a voice-like sound: ten harmonics at -20 dBFS, and white noise so many dB below them."""
    voice = sum(sine(hz * n, amplitude=1 / n) for n in range(1, 11))
    voice *= 0.1 / np.sqrt(np.mean(np.square(voice)))
    return (voice + noise(level_db=-20 - ratio_db)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    """Make nothing at all."""
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def encode(samples: np.ndarray, *, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """Make the bytes of an audio file: `kind` is one of libsndfile's formats."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def pitch(signal: np.ndarray, *, rate: int = RATE) -> float:
    """Measure the strongest frequency, in Hz, to about 0.1."""
    n_fft = 1 << 18
    return float(np.abs(np.fft.rfft(signal * np.hanning(len(signal)), n_fft)).argmax() * rate / n_fft)


def level_db(signal: np.ndarray) -> float:
    """Measure the RMS level, in dBFS."""
    return float(10 * np.log10(np.mean(np.square(signal, dtype=np.float64))))


def ravdess_names(n: int) -> list[str]:
    """Name the first recordings of RAVDESS, without folder and suffix."""
    clips = factories.ravdess(actors=range(1, 2 + n // 60))  # of 60 recordings each
    return [clip_id.removeprefix("ravdess/") for clip_id in clips.clip_id[:n]]


def write_recordings(folder: Path, files: Sequence[str], *, seconds: float = 0.5) -> None:
    """Write recordings under their real names: a tone of its own each, over a little noise."""
    for number, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        signal = sine(200 + 20 * number, seconds=seconds) + noise(seconds=seconds, level_db=-50, seed=number)
        (folder / file).write_bytes(encode(signal))


def write_clip_table(path: Path, signals: Mapping[str, np.ndarray], *, copies: str = "") -> None:
    """Write a clip table with audio, from RAVDESS names and what they sound like, or one of copies of a kind."""
    clips = factories.clips("ravdess", signals)
    if copies:
        clips = clips.assign(clip_id=clips.clip_id + f"+{copies}.1", augmentation=copies)
    rows = clips.to_dict("records")
    for row in rows:
        signal = signals[row["original_id"].removeprefix("ravdess/")]
        row |= {"n_samples": len(signal), "audio": audio_io.to_flac(signal, rate=RATE)}
    with clip_writer(path, payload=AUDIO) as write:
        write(rows)
