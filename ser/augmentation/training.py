"""Augment clips for training, and add corrupted clips for testing. Only this package imports audiomentations.

audiomentations takes no seed: it draws from the global generators of `random` and NumPy. They are seeded for each
augmented clip and restored afterwards.
"""

import random
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.augmentation import corruptions
from ser.dataset.clips import count_clips, iterate_rows, read_clips
from ser.params import Augment, AugmentationName, Preprocess
from ser.utils import seeding
from ser.utils.parallel import batches, map_batches

BATCH_SIZE = 16


def make_transform(augmentation: AugmentationName, settings: Augment, *, rate: int) -> Any:
    """Create an audiomentations transform for a sample rate in Hz.

    A speed factor scales tempo, pitch and formants together, as of another speaker.
    """
    from audiomentations import AddGaussianSNR, PitchShift, Resample, Shift, TimeStretch

    match augmentation:
        case "noise":
            snr = settings.noise_snr_db
            return AddGaussianSNR(min_snr_db=snr.min, max_snr_db=snr.max, p=1)
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
    rate: int,
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
    settings : Augment
        Section `augment` of the parameters.
    rate : int
        Sample rate in Hz.
    seed, clip_id, copy_index
        Seed, clip and number of the augmented clip, which determine the random numbers together with `augmentation`.

    Returns
    -------
    ndarray of shape (n_augmented_samples,), float32
        Scaled to a peak of at most `ser.audio.effects.PEAK_CEILING`. Time stretching and speed change the length.
    """
    transform = make_transform(augmentation, settings, rate=rate)
    with _global_seed(seeding.derive_seed(seed, "augment", clip_id, augmentation, str(copy_index))):
        augmented = transform(samples=signal, sample_rate=rate)
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
                copy = augment(signal, name, settings=settings, rate=row["sample_rate"], copy_index=n, **key)
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
