"""What can happen to a recording before a model hears it: noise, a telephone, a room, another level.

Copies that are altered so are for testing only. They go through preprocessing once more, as a recording from such a
place would. Conventions: a signal is a float32 array of shape (n_samples,), full scale at 1.
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
"""Takes a signal, its rate in Hz, and a source of randomness."""

TELEPHONE_HZ = 8000
TELEPHONE_BAND_HZ = (300, 3400)


def _noise(signal: Waveform, rate: int, rng: np.random.Generator, *, snr_db: float) -> Waveform:
    """Add pink noise: unlike the white noise of training copies, and like that of rooms and streets."""
    white = np.fft.rfft(rng.standard_normal(len(signal)))
    pink = np.fft.irfft(white / np.sqrt(np.maximum(np.arange(len(white)), 1)), n=len(signal)).astype(np.float32)
    gain = 10 ** ((effects.rms_dbfs(signal) - effects.rms_dbfs(pink) - snr_db) / 20)
    return signal + np.float32(gain) * pink


def _telephone(signal: Waveform, rate: int, rng: np.random.Generator) -> Waveform:
    """Pass a signal through a telephone: 300 to 3400 Hz, 8000 samples a second, 8 bits by the mu law (ITU-T G.711)."""
    narrow = effects.resample(signal, rate=rate, to=TELEPHONE_HZ)
    band = filters.butter(4, TELEPHONE_BAND_HZ, "bandpass", fs=TELEPHONE_HZ, output="sos")
    coded = audio_io.mu_law_codec(filters.sosfilt(band, narrow).astype(np.float32), rate=TELEPHONE_HZ)
    return effects.resample(coded, rate=TELEPHONE_HZ, to=rate)[: len(signal)]


def _reverberation(signal: Waveform, rate: int, rng: np.random.Generator, *, seconds: float) -> Waveform:
    """Put a signal into a room whose echoes fall by 60 dB in some seconds, and are as strong as the direct sound.

    References
    ----------
    Polack (1988): late echoes are noise that decays exponentially.
    """
    times = np.arange(round(seconds * rate)) / rate
    echoes = rng.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    echoes /= np.linalg.norm(echoes)
    heard = filters.fftconvolve(signal, echoes)
    heard[: len(signal)] += signal
    return heard.astype(np.float32)


def _gain(signal: Waveform, rate: int, rng: np.random.Generator, *, db: float) -> Waveform:
    """Turn the level up or down, and cut off what passes full scale, as a converter does."""
    return np.clip(signal * np.float32(10 ** (db / 20)), -1, 1)


def corruptions(settings: Robustness) -> dict[str, Corruption]:
    """List the ways in which test clips are altered, by what their copies' column `augmentation` says."""
    found: dict[str, Corruption] = {}
    found |= {f"noise_{snr:g}db": partial(_noise, snr_db=snr) for snr in settings.noise_snr_db}
    found |= {"telephone": _telephone} if settings.telephone else {}
    found |= {f"reverberation_{s:g}s": partial(_reverberation, seconds=s) for s in settings.rt60_seconds}
    found |= {f"level_{db:g}db": partial(_gain, db=db) for db in settings.gain_db}
    return {ROBUSTNESS_PREFIX + name: alter for name, alter in found.items()}


def select_clips(clips: pd.DataFrame, settings: Robustness, *, seed: int) -> Collection[str]:
    """Choose the clips that are altered, as evenly over speakers and emotions as may be: their clip_ids.

    Parameters
    ----------
    clips
        The clip table of a corpus, originals only.
    settings
        The section `augment.robustness` of the settings.
    seed
        The run's.
    """
    drawn = clips.assign(lot=[seeding.derive_seed(seed, "stress", clip_id) for clip_id in clips.clip_id]).sort_values(
        "lot"
    )
    turn = drawn.groupby(["speaker", "emotion"]).cumcount()
    return set(drawn.assign(turn=turn).sort_values(["turn", "lot"]).clip_id[: settings.n_clips])


def corrupt(signal: Waveform, how: Corruption, settings: Preprocess, *, name: str, seed: int, clip_id: str) -> Waveform:
    """Alter a clip, and preprocess what comes of it.

    Parameters
    ----------
    signal : (n_samples,) float32
        At ``settings.sample_rate``.
    how
        One of `corruptions`.
    settings
        The section `preprocess` of the settings.
    name, seed, clip_id
        All that the randomness depends on.

    Returns
    -------
    (n_samples',) float32

    Raises
    ------
    AudioError
        If preprocessing finds the result unusable.
    """
    key = "stress_" + name.removeprefix(ROBUSTNESS_PREFIX)  # another key would draw other noise and echoes
    altered = how(signal, settings.sample_rate, seeding.make_rng(seed, "stress", clip_id, key))
    return audio_clean.apply_effects(altered, settings)
