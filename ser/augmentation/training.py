"""Augment clips for training, and add corrupted clips for testing. Only this package imports audiomentations.

audiomentations takes no seed: it draws from the global generators of `random` and NumPy. They are seeded for each
augmented clip and restored afterwards. Its reverberation needs recorded impulse responses or pyroomacoustics, so
`reverberation` does not use it.
"""

import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal as filters

from ser.audio import clean as audio_clean
from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.augmentation import corruptions
from ser.dataset.clips import count_clips, iterate_rows, read_clips
from ser.params import Augment, AugmentationName, Preprocess, Range
from ser.utils import seeding
from ser.utils.parallel import batches, map_batches

BATCH_SIZE = 16
CHANNELS: tuple[AugmentationName, ...] = ("noise", "band_limit", "reverberation")
"""Augmentations that imitate other recording conditions. Their copies are preprocessed again, like such a recording."""
CODEC_BITS = (8, 12)
"""Resolution of the codec of `band_limit`."""
DIRECT_TO_REVERBERANT_DB = (-3, 9)
MAX_PREDELAY_SECONDS = 0.03
MIN_DECAY_RATIO = 0.3
"""Decay time of the highest frequencies, at least this fraction of that of the lowest: walls absorb them more."""


def make_transform(augmentation: AugmentationName, settings: Augment, *, rate: int) -> Any:
    """Create an audiomentations transform for a sample rate in Hz.

    A speed factor scales tempo, pitch and formants together, as of another speaker.
    """
    from audiomentations import AddColorNoise, PitchShift, Resample, Shift, TimeStretch

    match augmentation:
        case "noise":
            snr = settings.noise_snr_db
            return AddColorNoise(min_snr_db=snr.min, max_snr_db=snr.max, p=1)
        case "band_limit":
            return partial(_limit_band, settings=settings)
        case "reverberation":
            return partial(_reverberate, rt60=settings.rt60_seconds)
        case "time_stretch":
            speed = settings.time_stretch_rate
            return TimeStretch(min_rate=speed.min, max_rate=speed.max, leave_length_unchanged=False, p=1)
        case "pitch_shift":
            semitones = settings.pitch_shift_semitones
            return PitchShift(min_semitones=semitones.min, max_semitones=semitones.max, p=1)
        case "time_shift":
            fraction = settings.time_shift_fraction
            return Shift(min_shift=fraction.min, max_shift=fraction.max, shift_unit="fraction", rollover=False, p=1)
        case "speed":
            speed = settings.speed_factor
            return Resample(min_sample_rate=round(rate / speed.max), max_sample_rate=round(rate / speed.min), p=1)


def _limit_band(samples: Waveform, sample_rate: int, *, settings: Augment) -> Waveform:
    """Transmit a signal through a narrow channel: a high-pass filter, a low sample rate and a coarse quantization."""
    from audiomentations import BitCrush, Compose, HighPassFilter

    low, high = settings.band_low_hz, settings.band_high_hz
    cutoff = HighPassFilter(min_cutoff_freq=low.min, max_cutoff_freq=low.max, min_rolloff=12, max_rolloff=24, p=1)
    codec = Compose([cutoff, BitCrush(*CODEC_BITS, p=1)])
    narrow_rate = min(round(2 * np.random.uniform(high.min, high.max)), sample_rate)
    peak = np.abs(samples).max()
    narrow = effects.resample(samples / peak, rate=sample_rate, to=narrow_rate)
    coded = codec(samples=narrow, sample_rate=narrow_rate) * peak
    return effects.resample(coded, rate=narrow_rate, to=sample_rate)[: len(samples)]


def _reverberate(samples: Waveform, sample_rate: int, *, rt60: Range) -> Waveform:
    """Add late reverberation: decaying noise after a predelay, which decays faster at high frequencies.

    References
    ----------
    Polack (1988), La transmission de l'énergie sonore dans les salles.
    """
    draw = np.random.default_rng(np.random.randint(2**31)).uniform
    seconds, ratio = draw(rt60.min, rt60.max), draw(MIN_DECAY_RATIO, 1)
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    bands = np.fft.rfft(draw(-1, 1, size=(2, len(times))))
    share = np.linspace(0, 1, bands.shape[1])
    low, high = np.fft.irfft(bands * np.sqrt([1 - share, share]), n=len(times))
    echoes = low * 10 ** (-3 * times / seconds) + high * 10 ** (-3 * times / (ratio * seconds))
    echoes *= 10 ** (-draw(*DIRECT_TO_REVERBERANT_DB) / 20) / np.linalg.norm(echoes)
    delay = round(draw(0, MAX_PREDELAY_SECONDS) * sample_rate)
    reverberant = filters.fftconvolve(np.concatenate([np.zeros(delay), samples]), echoes)
    reverberant[: len(samples)] += samples
    return reverberant.astype(np.float32)


@contextmanager
def _global_seed(value: int) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(value)
    np.random.seed(value)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def augment(
    signal: Waveform,
    augmentation: AugmentationName,
    *,
    settings: Augment,
    preprocess: Preprocess,
    seed: int,
    clip_id: str,
    copy_index: int,
) -> Waveform:
    """Augment a clip.

    Parameters
    ----------
    signal : ndarray of shape (n_samples,), float32
        Mono signal.
    augmentation : str
        Name of the augmentation.
    settings, preprocess
        Sections of the parameters. Copies of `CHANNELS` are preprocessed.
    seed, clip_id, copy_index
        Seed, clip and number of the augmented clip, which determine the random numbers together with `augmentation`.

    Returns
    -------
    ndarray of shape (n_augmented_samples,), float32
        Scaled to a peak of at most `ser.audio.effects.PEAK_CEILING`. Some augmentations change the length.

    Raises
    ------
    AudioError
        If nothing is left of the clip after preprocessing.
    """
    rate = preprocess.sample_rate
    transform = make_transform(augmentation, settings, rate=rate)
    with _global_seed(seeding.derive_seed(seed, "augment", clip_id, augmentation, str(copy_index))):
        augmented = transform(samples=signal, sample_rate=rate)
    if augmentation in CHANNELS:
        return audio_clean.apply_effects(augmented.astype(np.float32), preprocess)
    peak = float(np.abs(augmented).max(initial=0))
    gain = np.float32(min(1.0, effects.PEAK_CEILING / max(peak, effects.PEAK_CEILING)))
    return (augmented * gain).astype(np.float32)


def augment_clips(
    clips: Path, settings: Augment, *, preprocess: Preprocess, seed: int
) -> Iterator[list[dict[str, Any]]]:
    """Augment every clip of a table, and corrupt some clips for testing, in parallel.

    Parameters
    ----------
    clips : Path
        Clip table with audio.
    settings : Augment
        Section `augment` of the parameters.
    preprocess : Preprocess
        Section `preprocess` of the parameters, applied to corrupted clips.
    seed : int
        Seed of all random numbers.

    Yields
    ------
    list of dict
        Rows with the column ``audio``: those of the originals, except for clip_id, augmentation and length.
    """
    total = -(-count_clips(clips) // BATCH_SIZE)
    corrupted = corruptions.select_clips(read_clips([clips]), settings.robustness, seed=seed)
    work = partial(_augment_batch, settings=settings, preprocess=preprocess, corrupted=corrupted, seed=seed)
    rows = batches(iterate_rows(clips), size=BATCH_SIZE)
    yield from map_batches(work, rows, description=f"augment {clips.stem}", total=total)


def _augment_batch(
    rows: list[dict[str, Any]], *, settings: Augment, preprocess: Preprocess, corrupted: Collection[str], seed: int
) -> list[dict[str, Any]]:
    augmented: list[dict[str, Any]] = []
    for row in rows:
        signal, key = audio_io.from_flac(row["audio"]), {"seed": seed, "clip_id": row["clip_id"]}
        copies = []
        for name in settings.augmentations:
            for n in range(1, settings.n_copies(name) + 1):
                with suppress(audio_io.AudioError):  # preprocessing would reject such a recording
                    copy = augment(signal, name, settings=settings, preprocess=preprocess, copy_index=n, **key)
                    copies.append(_row(row, copy, name=name, copy_index=n))
        for condition, corruption in corruptions.corruptions(settings.robustness).items():
            if row["clip_id"] in corrupted:
                with suppress(audio_io.AudioError):  # preprocessing would reject such a recording
                    copy = corruptions.corrupt(signal, corruption, preprocess, name=condition, **key)
                    copies.append(_row(row, copy, name=condition, copy_index=1))
        augmented += sorted(copies, key=lambda copy: copy["clip_id"])
    return augmented


def _row(original: dict[str, Any], signal: Waveform, *, name: str, copy_index: int) -> dict[str, Any]:
    return original | {
        "clip_id": f"{original['clip_id']}+{name}.{copy_index}",
        "augmentation": name,
        "n_samples": len(signal),
        "audio": audio_io.to_flac(signal, rate=original["sample_rate"]),
    }
