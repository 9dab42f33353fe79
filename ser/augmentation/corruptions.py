"""Corrupt test clips to measure robustness: noise, telephone, reverberation, level.

Corrupted clips are for testing only and are preprocessed again, as a recording from such an environment would be.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import signal as filters

from ser.audio import clean as audio_clean
from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.dataset.clip_metadata import ROBUSTNESS_PREFIX
from ser.params import Preprocess, Robustness
from ser.utils import seeding

Corruption: TypeAlias = Callable[[Waveform, int, np.random.Generator], Waveform]
"""Function of a signal, its sample rate in Hz, and a random generator."""

TELEPHONE_RATE = 8000
TELEPHONE_BAND_HZ = (300, 3400)
_SEED_KEY = "stress"
"""Part of the seeds; another value changes every corrupted clip."""


def _noise(signal: Waveform, rate: int, rng: np.random.Generator, *, snr_db: float) -> Waveform:
    """Add pink noise, as of rooms and streets; training augmentation adds noise of random colors."""
    white = np.fft.rfft(rng.standard_normal(len(signal)))
    pink = np.fft.irfft(white / np.sqrt(np.maximum(np.arange(len(white)), 1)), n=len(signal)).astype(np.float32)
    gain = 10 ** ((effects.rms_dbfs(signal) - effects.rms_dbfs(pink) - snr_db) / 20)
    return signal + np.float32(gain) * pink


def _telephone(signal: Waveform, rate: int, rng: np.random.Generator) -> Waveform:
    """Apply a telephone channel: 300 to 3400 Hz, 8 kHz, 8-bit mu-law (ITU-T G.711)."""
    narrow = effects.resample(signal, rate=rate, to=TELEPHONE_RATE)
    band = filters.butter(4, TELEPHONE_BAND_HZ, "bandpass", fs=TELEPHONE_RATE, output="sos")
    coded = audio_io.mu_law_codec(filters.sosfilt(band, narrow).astype(np.float32), rate=TELEPHONE_RATE)
    return effects.resample(coded, rate=TELEPHONE_RATE, to=rate)[: len(signal)]


def _reverberation(signal: Waveform, rate: int, rng: np.random.Generator, *, seconds: float) -> Waveform:
    """Add late reverberation, exponentially decaying noise (Polack, 1988), with the energy of the direct sound."""
    times = np.arange(round(seconds * rate)) / rate
    echoes = rng.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    echoes /= np.linalg.norm(echoes)
    reverberant = filters.fftconvolve(signal, echoes)
    reverberant[: len(signal)] += signal
    return reverberant.astype(np.float32)


def _gain(signal: Waveform, rate: int, rng: np.random.Generator, *, db: float) -> Waveform:
    """Apply a gain and clip at full scale."""
    return np.clip(signal * np.float32(10 ** (db / 20)), -1, 1)


def corruptions(settings: Robustness) -> dict[str, Corruption]:
    """List the corruptions of the settings by name, which is the clips' ``augmentation``."""
    conditions: dict[str, Corruption] = {}
    conditions |= {f"noise_{snr:g}db": partial(_noise, snr_db=snr) for snr in settings.noise_snr_db}
    conditions |= {"telephone": _telephone} if settings.telephone else {}
    conditions |= {f"reverberation_{s:g}s": partial(_reverberation, seconds=s) for s in settings.rt60_seconds}
    conditions |= {f"level_{db:g}db": partial(_gain, db=db) for db in settings.gain_db}
    return {ROBUSTNESS_PREFIX + name: corruption for name, corruption in conditions.items()}


def select_clips(clips: pd.DataFrame, settings: Robustness, *, seed: int) -> Collection[str]:
    """Select the clips to corrupt, all of a recording or none, as evenly over speakers and emotions as possible.

    Parameters
    ----------
    clips : DataFrame
        Clip table of a corpus, originals only.
    settings : Robustness
        Section `augment.robustness` of the parameters.
    seed : int
        Seed of the selection.

    Returns
    -------
    collection of str
        The clip_ids.
    """
    recordings = clips.drop_duplicates("recording_id")
    order = [seeding.derive_seed(seed, _SEED_KEY, name) for name in recordings.recording_id]
    shuffled = recordings.assign(order=order).sort_values("order")
    turn = shuffled.groupby(["speaker", "emotion"]).cumcount()
    chosen = shuffled.assign(turn=turn).sort_values(["turn", "order"]).recording_id[: settings.n_clips]
    return set(clips.clip_id[clips.recording_id.isin(chosen)])


def corrupt(
    signal: Waveform, corruption: Corruption, settings: Preprocess, *, name: str, seed: int, clip_id: str
) -> Waveform:
    """Corrupt a clip and preprocess the result.

    Parameters
    ----------
    signal : ndarray of shape (n_samples,), float32
        Clip at ``settings.sample_rate``.
    corruption : callable
        A value of `corruptions`.
    settings : Preprocess
        Section `preprocess` of the parameters.
    name, seed, clip_id
        Key of `corruptions`, seed and clip, which determine the random numbers.

    Returns
    -------
    ndarray of shape (n_corrupted_samples,), float32

    Raises
    ------
    AudioError
        If the result is silent or too short.
    """
    rng = seeding.make_rng(seed, _SEED_KEY, clip_id, f"{_SEED_KEY}_{name.removeprefix(ROBUSTNESS_PREFIX)}")
    return audio_clean.apply_effects(corruption(signal, settings.sample_rate, rng), settings)
