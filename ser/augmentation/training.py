"""Altered copies of clips, to learn from and to test with. The only door to audiomentations.

audiomentations has no seed of its own: it draws from the global generators of `random` and NumPy. They are
seeded here for each copy, from (seed, clip, copy) alone, and put back afterwards.
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
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
from ser.params import Augment, Preprocess
from ser.utils import seeding
from ser.utils.parallel import batches, map_batches

BATCH = 16


def _noise(settings: Augment, rate: int) -> Any:
    from audiomentations import AddGaussianSNR

    return AddGaussianSNR(min_snr_db=settings.noise_snr_db.min, max_snr_db=settings.noise_snr_db.max, p=1)


def _time_stretch(settings: Augment, rate: int) -> Any:
    from audiomentations import TimeStretch

    speed = settings.time_stretch_rate
    return TimeStretch(min_rate=speed.min, max_rate=speed.max, leave_length_unchanged=False, p=1)


def _pitch_shift(settings: Augment, rate: int) -> Any:
    from audiomentations import PitchShift

    semitones = settings.pitch_shift_semitones
    return PitchShift(min_semitones=semitones.min, max_semitones=semitones.max, p=1)


def _time_shift(settings: Augment, rate: int) -> Any:
    from audiomentations import Shift

    share = settings.time_shift_fraction
    return Shift(min_shift=share.min, max_shift=share.max, shift_unit="fraction", rollover=False, p=1)


def _speed(settings: Augment, rate: int) -> Any:
    """Play a clip faster or slower: tempo, pitch and formants move together, as if somebody else were speaking."""
    from audiomentations import Resample

    speed = settings.speed_factor
    return Resample(min_sample_rate=round(rate / speed.max), max_sample_rate=round(rate / speed.min), p=1)


AUGMENTATIONS: Mapping[str, Callable[[Augment, int], Any]] = {
    "noise": _noise,
    "time_stretch": _time_stretch,
    "pitch_shift": _pitch_shift,
    "time_shift": _time_shift,
    "speed": _speed,
}
"""Name -> factory of an audiomentations transform, from the settings and the rate in Hz."""


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
    signal: Waveform, augmentation: str, *, settings: Augment, rate: int, seed: int, clip_id: str, copy: int
) -> Waveform:
    """Make one altered copy of a clip.

    Parameters
    ----------
    signal : (n_samples,) float32
    augmentation
        A name in `AUGMENTATIONS`.
    settings
        The section `augment` of the settings.
    rate
        In Hz.
    seed, clip_id, copy
        All that the copy's randomness depends on, with the augmentation's name.

    Returns
    -------
    (n_samples',) float32
        Time-stretching and speed change the length; no sample passes full scale.
    """
    transform = AUGMENTATIONS[augmentation](settings, rate)
    with _global_seed(seeding.derive_seed(seed, "augment", clip_id, augmentation, str(copy))):
        altered = transform(samples=signal, sample_rate=rate)
    peak = float(np.abs(altered).max(initial=0))
    return (altered * np.float32(min(1.0, effects.PEAK_CEILING / max(peak, effects.PEAK_CEILING)))).astype(np.float32)


def augment_clips(
    clips: Path, settings: Augment, *, preprocess: Preprocess, seed: int
) -> Iterator[list[dict[str, Any]]]:
    """Make every copy of every clip of a table, and those of some clips that are for testing only, in parallel.

    Parameters
    ----------
    clips
        Path of a clip table with audio.
    settings
        The section `augment` of the settings.
    preprocess
        The section `preprocess`: copies for testing pass through it as recordings do.
    seed
        The run's.

    Yields
    ------
    list of dict
        Rows with the column ``audio``: the original's but for clip_id, augmentation and length.
    """
    total = -(-count_clips(clips) // BATCH)
    corrupted = corruptions.select_clips(read_clips([clips]), settings.robustness, seed=seed)
    work = partial(_copies_of, settings=settings, preprocess=preprocess, corrupted=corrupted, seed=seed)
    yield from map_batches(
        work, batches(iterate_rows(clips), size=BATCH), description=f"augment {clips.stem}", total=total
    )


def _copies_of(
    rows: list[dict[str, Any]],
    *,
    settings: Augment,
    preprocess: Preprocess,
    corrupted: Collection[str],
    seed: int,
) -> list[dict[str, Any]]:
    copies: list[dict[str, Any]] = []
    for row in rows:
        signal = audio_io.from_flac(row["audio"])
        own = list(_training_copies(row, signal, settings, seed=seed))
        if row["clip_id"] in corrupted:
            own += _corrupted_copies(row, signal, settings, preprocess=preprocess, seed=seed)
        copies += sorted(own, key=lambda copy: copy["clip_id"])
    return copies


def _training_copies(
    row: dict[str, Any], signal: Waveform, settings: Augment, *, seed: int
) -> Iterator[dict[str, Any]]:
    about = {"rate": row["sample_rate"], "seed": seed, "clip_id": row["clip_id"]}
    for name in settings.augmentations:
        for copy in range(1, settings.n_copies(name) + 1):
            yield _copy(row, augment(signal, name, settings=settings, copy=copy, **about), name=name, number=copy)


def _corrupted_copies(
    row: dict[str, Any], signal: Waveform, settings: Augment, *, preprocess: Preprocess, seed: int
) -> Iterator[dict[str, Any]]:
    for name, how in corruptions.corruptions(settings.robustness).items():
        with suppress(audio_io.AudioError):  # a recording that sounded so would be refused
            altered = corruptions.corrupt(signal, how, preprocess, name=name, seed=seed, clip_id=row["clip_id"])
            yield _copy(row, altered, name=name, number=1)


def _copy(row: dict[str, Any], altered: Waveform, *, name: str, number: int) -> dict[str, Any]:
    return row | {
        "clip_id": f"{row['clip_id']}+{name}.{number}",
        "augmentation": name,
        "n_samples": len(altered),
        "audio": audio_io.to_flac(altered, rate=row["sample_rate"]),
    }
