"""Clips as batches for a network: clips of like length together, in a new order each epoch, mixed and masked.

Clips are lengthened to a multiple of a bucket by repeating their last frame, so that clips of equal length share a
batch: no masks inside the network, no padding to the longest, and a clip's prediction does not depend on its
neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ser.features.columns import Array, Span, column_slices, columns_of, merge_slices
from ser.params import TrainLstm

Labels = npt.NDArray[np.int64]
Inputs: TypeAlias = Array | tuple[Array, Array]
"""What a network is given of a batch: frames (clips, frames, features), or these and functionals (clips, values)."""
Batch: TypeAlias = tuple[Inputs, Array]
"""Inputs, and targets (clips, classes): shares of 1, or of a clip's weight."""
N_MASKS = 2
"""Bands of time, and of features, that are hidden in each clip."""
MAX_MASK_FRACTION = 1 / 8
"""Of a clip, or of all features, that one of them hides."""


@dataclass(frozen=True)
class BranchInputs:
    """What each branch of a network sees: where its columns stand.

    Attributes
    ----------
    spectral
        Frame features of the first recurrent branch; none: all.
    prosody
        Frame features of the second recurrent branch; none: there is no such branch.
    dynamics
        Functionals of the second dense branch; none: there is no such branch.
    """

    spectral: Sequence[Span] = ()
    prosody: Sequence[Span] = ()
    dynamics: Sequence[Span] = ()

    @classmethod
    def among(cls, frames: Sequence[str], functionals: Sequence[str], settings: TrainLstm) -> BranchInputs:
        """Find what the settings name among features of frames and functionals: those of them that there are."""
        groups = (settings.spectral_features, settings.prosody_features)
        spectral, prosody = (merge_slices(columns_of(frames, kinds)) for kinds in groups)
        return cls(spectral, prosody, dynamics=column_slices(functionals, settings.dynamic_functionals))


ALL_FEATURES = BranchInputs()
"""A recurrent branch sees all features of frames, a dense one all functionals, if there are any."""


@dataclass(frozen=True)
class Examples:
    """Clips for the network.

    Attributes
    ----------
    frames
        The (n_frames, features) matrix of each.
    labels
        Class indices: (clips,).
    functionals
        Of each clip: (clips, values) float32; None for a network that sees frames alone.
    seen
        What of both each branch sees.
    """

    frames: Sequence[Array]
    labels: Labels
    functionals: Array | None = None
    seen: BranchInputs = ALL_FEATURES


def model_inputs(frames: Array, functionals: Array | None) -> Inputs:
    """Put what a network is given of a batch in the form that it takes."""
    return frames if functionals is None else (frames, functionals)


def mean_and_variance(frames: Sequence[Array]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Compute each feature's mean and variance over all frames of all clips: two (features,) arrays."""
    n = int(_lengths(frames).sum())
    mean = sum(clip.sum(axis=0, dtype=np.float64) for clip in frames) / n
    variance = sum(_squared(clip - mean).sum(axis=0) for clip in frames) / n
    return np.asarray(mean), np.maximum(variance, 1e-8)


def _squared(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Square in place: of all functionals, another array would take a second to be cleared."""
    return np.square(values, out=values)


def _lengths(frames: Sequence[Array]) -> npt.NDArray[np.int64]:
    """Count each clip's frames, without reading those that are on disk: (clips,)."""
    # Not by type: what only asks for an answer should not have to import tables.
    lengths = getattr(frames, "lengths", None)
    return np.array([len(clip) for clip in frames]) if lengths is None else lengths


@dataclass(frozen=True)
class LengthBuckets:
    """Lengths in frames that clips are padded or truncated to: multiples of `step`, up to `max_length`."""

    step: int
    max_length: int

    @classmethod
    def of(cls, settings: TrainLstm, *, hop_seconds: float) -> LengthBuckets:
        """Turn the settings' seconds into frames."""
        step = max(1, round(settings.bucket_seconds / hop_seconds))
        return cls(step=step, max_length=max(1, round(settings.max_seconds / hop_seconds) // step) * step)

    def lengths(self, frames: Sequence[Array]) -> npt.NDArray[np.int64]:
        """Compute the length each clip is brought to."""
        return np.minimum(-(-_lengths(frames) // self.step) * self.step, self.max_length)

    def stack(self, frames: Iterable[Array], *, length: int) -> Array:
        """Cut clips to a length or repeat their last frame up to it: (clips, length, features)."""
        clips = list(frames)
        stacked = np.empty((len(clips), length, clips[0].shape[1]), dtype=np.float32)
        for row, clip in zip(stacked, clips, strict=True):
            row[: len(clip)] = clip[:length]
            row[len(clip) :] = clip[-1]
        return stacked


def group_by_length(lengths: npt.NDArray[np.int64], *, size: int) -> list[npt.NDArray[np.int64]]:
    """Cut clips, in the order given, into batches of equal length: lists of their positions."""
    groups = [np.flatnonzero(lengths == length) for length in sorted(set(lengths.tolist()))]
    return [group[start : start + size] for group in groups for start in range(0, len(group), size)]


def _shuffled(lengths: npt.NDArray[np.int64], *, size: int, rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Shuffle clips within their lengths, and batches among each other."""
    order = rng.permutation(len(lengths))
    batches = [order[batch] for batch in group_by_length(lengths[order], size=size)]
    rng.shuffle(batches)  # type: ignore[arg-type]
    return batches


def iterate_epoch(
    examples: Examples,
    buckets: LengthBuckets,
    settings: TrainLstm,
    *,
    n_classes: int,
    blank: Array,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Make the batches of an epoch: every clip once.

    Parameters
    ----------
    examples
        Training clips.
    buckets
        Lengths that they are brought to.
    settings
        The section `train_lstm` of the settings.
    n_classes
        How many classes labels count.
    blank : (features,) float32
        What masked frames and features are replaced by: the training mean.
    rng
        Of the order, and of what is mixed and masked.
    """
    targets = targets_of(examples.labels, settings, n_classes=n_classes)
    lengths = buckets.lengths(examples.frames)
    for chosen in _shuffled(lengths, size=settings.batch_size, rng=rng):
        frames = buckets.stack((examples.frames[clip] for clip in chosen), length=lengths[chosen[0]])
        functionals = None if examples.functionals is None else examples.functionals[chosen]
        yield augment_batch(frames, functionals, targets[chosen], settings, blank=blank, rng=rng, seen=examples.seen)


def targets_of(labels: Labels, settings: TrainLstm, *, n_classes: int) -> Array:
    """Make what a network learns of each clip: (clips, classes), rows of 0 with the weight of the clip at its class."""
    targets = np.eye(n_classes, dtype=np.float32)[labels]
    return targets * _weights(labels)[:, None] if settings.class_weight == "balanced" else targets


def _weights(labels: Labels) -> Array:
    """Weigh clips so that each class that there is counts the same, and all clips as much as before: (clips,)."""
    count = np.bincount(labels)
    return (len(labels) / (np.count_nonzero(count) * count[labels])).astype(np.float32)


def augment_batch(
    frames: Array,
    functionals: Array | None,
    targets: Array,
    settings: TrainLstm,
    *,
    blank: Array,
    rng: np.random.Generator,
    seen: BranchInputs = ALL_FEATURES,
) -> Batch:
    """Mix the clips of a batch and mask them, where the settings say so; `frames` is overwritten.

    What each recurrent branch sees is masked for itself, so that what one misses does not depend on the other; a
    feature that both see is hidden from both.
    """
    if settings.mixup:
        beside = [] if functionals is None else [functionals]
        frames, targets, *beside = mixup(frames, targets, *beside, alpha=settings.mixup, rng=rng)
        functionals = beside[0] if beside else None
    if settings.spec_augment:
        spans = [*seen.spectral, *seen.prosody] or [(0, len(blank))]
        for (start, stop), own in zip(spans, [rng, *rng.spawn(len(spans) - 1)], strict=True):
            spec_augment(frames[..., start:stop], blank=blank[start:stop], rng=own)
    return model_inputs(frames, functionals), targets


def mixup(*arrays: Array, alpha: float, rng: np.random.Generator) -> list[Array]:
    """Blend each clip, its target and all else that is known of it with another of the batch, and less than half.

    Parameters
    ----------
    arrays : (clips, …) float32 each
        Such as frames and targets: a clip's row in all of them is blended with the same other clip's by the same share.
    alpha
        The share is drawn from Beta(alpha, alpha): the smaller, the less is mixed.

    References
    ----------
    Zhang et al. (2018), mixup: Beyond empirical risk minimization.
    """
    share = rng.beta(alpha, alpha, size=len(arrays[0])).astype(np.float32)
    foreign, others = np.minimum(share, 1 - share), rng.permutation(len(arrays[0]))
    return [_blend(own, own[others], foreign.reshape(-1, *[1] * (own.ndim - 1))) for own in arrays]


def _blend(own: Array, other: Array, share: Array) -> Array:
    """Take a share of `other`, which is overwritten: making no further arrays of that size halves the time."""
    other -= own
    other *= share
    other += own
    return other


def spec_augment(frames: Array, *, blank: Array, rng: np.random.Generator) -> Array:
    """Hide some bands of time and of features in each clip, and give back the same array.

    Parameters
    ----------
    frames : (clips, frames, features) float32
        Is overwritten: a copy would take a sixth of the time of preparing a batch.
    blank : (features,) float32

    References
    ----------
    Park et al. (2019), SpecAugment.
    """
    bands, times = (_bands(size, clips=len(frames), rng=rng) for size in (frames.shape[2], frames.shape[1]))
    for clip, features, hidden in zip(frames, bands, times, strict=True):
        for start, stop in features:
            clip[:, start:stop] = blank[start:stop]
        for start, stop in hidden:
            clip[start:stop] = blank
    return frames


def _bands(size: int, *, clips: int, rng: np.random.Generator) -> list[list[Span]]:
    """Draw what is hidden of so many features, or frames, in each clip."""
    widest = max(1, int(size * MAX_MASK_FRACTION)) if size > 1 else 0
    widths = rng.integers(0, widest, size=(clips, N_MASKS), endpoint=True)
    starts = rng.integers(0, size - widths, endpoint=True)
    found: list[list[Span]] = np.stack([starts, starts + widths], axis=-1).tolist()
    return found
