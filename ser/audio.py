"""Recordings in, clean mono clips out. The only door to librosa's audio tools, noisereduce, pyloudnorm and soundfile.

A signal is a float32 array of shape (n_samples,), mono, full scale at 1.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from ser.errors import InputError
from ser.params import Preprocess

Signal = npt.NDArray[np.float32]

SILENCE_DB = -80.0
"""A recording whose largest sample stays below this (dBFS) holds nothing."""
BLOCK = 1 << 20
"""Samples decoded at a time."""
MOST_FRAMES = 1 << 40
"""No recording is longer; libsndfile says 2**63 - 1 for "unknown"."""
PEAK = 0.99
"""Level normalisation never drives a sample beyond this; 16-bit files would clip."""


class AudioError(InputError):
    """A recording cannot be used; the message is the reason."""


@dataclass(frozen=True)
class Original:
    """A recording as it was found: its channels averaged to a signal, its rate in Hz, and how many channels it had."""

    signal: Signal
    sample_rate: int
    channels: int


def decode(recording: Path | bytes) -> tuple[npt.NDArray[np.float32], int]:
    """Decode anything libsndfile can, going by content and not by suffix.

    Parameters
    ----------
    recording
        A file, or the bytes of one.

    Returns
    -------
    samples : (n_samples, channels) float32
    sample_rate : int
        In Hz.

    Raises
    ------
    AudioError
        If it is no audio, cut short, empty, or holds values that are not numbers.
    """
    content = recording if isinstance(recording, bytes) else _bytes_of(recording)
    if not content:
        raise AudioError("the file is empty (0 bytes)")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check_whole(file)
            if file.frames > MOST_FRAMES:
                raise AudioError("its header leaves the length open; write the file anew with a tool that notes it")
            samples = _read_all(file)
            rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise AudioError(f"not decodable as audio: {error.error_string.strip().rstrip('.')}") from None
    if len(samples) == 0:
        raise AudioError("holds no samples")
    if not np.isfinite(samples).all():
        raise AudioError("holds values that are not numbers (NaN or infinity)")
    return samples, rate


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise AudioError(f"cannot be read: {error.strerror}") from None


def _read_all(file: Any) -> npt.NDArray[np.float32]:
    """Read block by block: a header may announce any number of samples, or (streamed FLAC) not know it."""
    blocks = [np.empty((0, file.channels), dtype=np.float32)]
    while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
        blocks.append(block)
    return np.concatenate(blocks)


def _check_whole(file: Any) -> None:
    """Refuse a file that ends before its header says; libsndfile would read what is there without a word."""
    found = re.search(r"^ *(?:data|SSND) *: *(\d+) *\(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if found and int(found[1]) < 0xFFFFFFFF:  # which is what a streaming writer puts for "unknown"
        raise AudioError(f"cut short: the header announces {found[1]} bytes of audio, the file holds {found[2]}")


def mono(samples: npt.NDArray[np.float32]) -> Signal:
    """Average the channels of a (n_samples, channels) array."""
    return np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))


def resample(signal: Signal, *, rate: int, to: int) -> Signal:
    """Change the sample rate (both in Hz), band-limited, by the SoX resampler at high quality."""
    if rate == to:
        return signal
    import librosa

    return librosa.resample(signal, orig_sr=rate, target_sr=to, res_type="soxr_hq")


def denoise(signal: Signal, *, rate: int, share: float) -> Signal:
    """Take stationary noise away by spectral gating.

    Parameters
    ----------
    signal : (n_samples,) float32
    rate
        In Hz.
    share
        Of the gated energy's amplitude that is removed, 0 (none) to 1 (all).

    References
    ----------
    Sainburg, Thielk & Gentner (2020), doi:10.1371/journal.pcbi.1008228 (the package noisereduce).
    """
    if share == 0 or len(signal) < rate // 10:
        return signal
    from noisereduce.noisereduce import reduce_noise

    # Its default padding of 30000 zeros on either side costs more than the clip itself.
    clean = reduce_noise(signal, sr=rate, stationary=True, prop_decrease=share, n_fft=512, padding=rate // 8)
    return np.asarray(clean, dtype=np.float32)


def trim(signal: Signal, *, below_db: float | None) -> Signal:
    """Cut both ends where frames stay more than `below_db` dB below the loudest; None keeps all."""
    if below_db is None:
        return signal
    from librosa.effects import trim

    return trim(signal, top_db=below_db, frame_length=512, hop_length=128)[0]


def normalise(signal: Signal, *, rate: int, method: str, level_db: float) -> Signal:
    """Scale a signal to a level, but never beyond full scale.

    Parameters
    ----------
    signal : (n_samples,) float32
    rate
        In Hz.
    method
        ``peak`` and ``rms`` (dBFS), ``loudness`` (LUFS, ITU-R BS.1770-4) or ``none``.
    level_db
        The level wanted.

    Returns
    -------
    (n_samples,) float32
        A peak that would pass 0.99 is brought down to it, whatever the method.
    """
    peak = float(np.abs(signal).max())
    gain = 1.0 if method == "none" else 10 ** ((level_db - _level(signal, rate=rate, method=method)) / 20)
    return (signal * np.float32(min(gain, PEAK / peak))).astype(np.float32)


def _level(signal: Signal, *, rate: int, method: str) -> float:
    if method in ("peak", "rms"):
        return peak_db(signal) if method == "peak" else rms_db(signal)
    import pyloudnorm

    # The standard measures blocks of 0.4 s: a shorter clip is one block.
    meter = pyloudnorm.Meter(rate, block_size=min(0.4, (len(signal) - 0.5) / rate))
    loudness = float(meter.integrated_loudness(signal.astype(np.float64)))
    return loudness if np.isfinite(loudness) else rms_db(signal)


def _db(amplitude: float) -> float:
    return 20 * float(np.log10(max(amplitude, 1e-10)))


def rms_db(signal: Signal) -> float:
    """Measure the RMS level of a (n_samples,) signal, in dBFS."""
    return _db(float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))))


def peak_db(signal: Signal) -> float:
    """Measure the largest sample of a (n_samples,) signal, in dBFS."""
    return _db(float(np.abs(signal).max()))


def sample_rate(file: Path) -> int | None:
    """Read the rate in a file's header, in Hz; None where it is no audio."""
    try:
        return int(soundfile.info(file).samplerate)
    except (soundfile.LibsndfileError, OSError):
        return None


def read(recording: Path | bytes) -> Original:
    """Decode a file, or the bytes of one, to a single channel.

    Raises
    ------
    AudioError
        As `decode`.
    """
    samples, rate = decode(recording)
    return Original(mono(samples), rate, samples.shape[1])


def clean(recording: Path | bytes | Original, settings: Preprocess) -> Signal:
    """Make a clip of a recording: decode, downmix, resample, denoise, trim, normalise.

    Parameters
    ----------
    recording
        A file, the bytes of one, or what `read` made of it.
    settings
        The section `preprocess` of the settings.

    Returns
    -------
    (n_samples,) float32
        At ``settings.sample_rate``.

    Raises
    ------
    AudioError
        With the reason why the recording is unusable.
    """
    original = recording if isinstance(recording, Original) else read(recording)
    _check_length(len(original.signal), rate=original.sample_rate, least=settings.min_seconds)
    signal = resample(original.signal, rate=original.sample_rate, to=settings.sample_rate)
    signal = denoise(signal, rate=settings.sample_rate, share=settings.denoise)
    # Only now: what lay beyond the new rate's band, or was but noise, is gone.
    if peak_db(signal) < SILENCE_DB:
        raise AudioError(f"all silence (no sample above {SILENCE_DB:g} dBFS)")
    signal = trim(signal, below_db=settings.trim_db)
    _check_length(len(signal), rate=settings.sample_rate, least=settings.min_seconds)
    return normalise(signal, rate=settings.sample_rate, method=settings.normalise, level_db=settings.level_db)


def _check_length(n_samples: int, *, rate: int, least: float) -> None:
    seconds = n_samples / rate
    if seconds < least:
        raise AudioError(f"too short: {seconds:.2f} s without silence at the ends, at least {least:g} s are needed")


def to_flac(signal: Signal, *, rate: int) -> bytes:
    """Encode a signal as 16-bit FLAC: lossless from there on, and the same bytes every time."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(signal, -1, 1), rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def from_flac(content: bytes) -> Signal:
    """Decode what `to_flac` made, as a (n_samples,) float32 array."""
    return soundfile.read(io.BytesIO(content), dtype="float32")[0]
