"""Build training batches: length bucketing, shuffling, mixup and SpecAugment.

Clips are padded to a multiple of a bucket by repeating their last frame, and a batch holds clips of one length. So the
network needs no masking, and the prediction of a clip does not depend on the other clips of its batch.
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
"""Frames (n_clips, n_frames, n_features), or a tuple of frames and functionals (n_clips, n_functionals)."""
Batch: TypeAlias = tuple[Inputs, Array]
"""Inputs, and targets (n_clips, n_classes)."""
N_MASKS = 2
"""SpecAugment masks per clip and axis."""
MAX_MASK_FRACTION = 1 / 8
"""Maximum width of a mask, as a fraction of its axis."""


@dataclass(frozen=True)
class BranchInputs:
    """Column slices that the branches of a network use.

    Attributes
    ----------
    spectral, prosody : sequence of (int, int)
        Frame features of the first and second recurrent branch; if empty, all features and no branch, respectively.
    dynamics : sequence of (int, int)
        Functionals of the second dense branch; no such branch if empty.
    """

    spectral: Sequence[Span] = ()
    prosody: Sequence[Span] = ()
    dynamics: Sequence[Span] = ()

    @classmethod
    def from_names(cls, frames: Sequence[str], functionals: Sequence[str], settings: TrainLstm) -> BranchInputs:
        """Locate the features named in the settings among column names; features without columns are ignored."""
        kinds = (settings.spectral_features, settings.prosody_features)
        spectral, prosody = (merge_slices(columns_of(frames, names)) for names in kinds)
        return cls(spectral, prosody, dynamics=column_slices(functionals, settings.dynamic_functionals))


ALL_FEATURES = BranchInputs()
"""One recurrent branch for all frame features and, if there are functionals, one dense branch for all of them."""


@dataclass(frozen=True)
class Examples:
    """Clips with labels, as inputs of the network.

    Attributes
    ----------
    frames : sequence of ndarray of shape (n_frames, n_features)
        Frame features of each clip.
    labels : ndarray of shape (n_clips,)
        Class indices.
    functionals : ndarray of shape (n_clips, n_functionals), optional
        None for a network that uses frames only.
    branch_inputs : BranchInputs
        Columns that each branch uses.
    """

    frames: Sequence[Array]
    labels: Labels
    functionals: Array | None = None
    branch_inputs: BranchInputs = ALL_FEATURES


def model_inputs(frames: Array, functionals: Array | None) -> Inputs:
    """Combine frames and functionals, if any, as a network takes them."""
    return frames if functionals is None else (frames, functionals)


def mean_and_variance(frames: Sequence[Array]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Compute mean and variance of each feature over all frames of all clips: two (n_features,) arrays."""
    n = int(_lengths(frames).sum())
    mean = sum(clip.sum(axis=0, dtype=np.float64) for clip in frames) / n
    deviations = (clip - mean for clip in frames)
    variance = sum(np.square(values, out=values).sum(axis=0) for values in deviations) / n  # in place, to save memory
    return np.asarray(mean), np.maximum(variance, 1e-8)


def _lengths(frames: Sequence[Array]) -> npt.NDArray[np.int64]:
    # Frames on disk know their lengths. No isinstance: inference would have to import pyarrow.
    lengths = getattr(frames, "lengths", None)
    return np.array([len(clip) for clip in frames]) if lengths is None else lengths


@dataclass(frozen=True)
class LengthBuckets:
    """Lengths in frames that clips are padded or truncated to: multiples of `step`, up to `max_length`."""

    step: int
    max_length: int

    @classmethod
    def from_settings(cls, settings: TrainLstm, *, hop_seconds: float) -> LengthBuckets:
        """Convert the settings from seconds to frames."""
        step = max(1, round(settings.bucket_seconds / hop_seconds))
        return cls(step=step, max_length=max(1, round(settings.max_seconds / hop_seconds) // step) * step)

    def lengths(self, frames: Sequence[Array]) -> npt.NDArray[np.int64]:
        """Compute the padded or truncated length of each clip."""
        return np.minimum(-(-_lengths(frames) // self.step) * self.step, self.max_length)

    def stack(self, frames: Iterable[Array], *, length: int) -> Array:
        """Truncate clips to a length or pad them with their last frame: (n_clips, length, n_features)."""
        clips = list(frames)
        stacked = np.empty((len(clips), length, clips[0].shape[1]), dtype=np.float32)
        for row, clip in zip(stacked, clips, strict=True):
            row[: len(clip)] = clip[:length]
            row[len(clip) :] = clip[-1]
        return stacked


def group_by_length(lengths: npt.NDArray[np.int64], *, size: int) -> list[npt.NDArray[np.int64]]:
    """Split clips into batches of equal length and at most `size` clips: lists of positions, in the given order."""
    groups = [np.flatnonzero(lengths == length) for length in sorted(set(lengths.tolist()))]
    return [group[start : start + size] for group in groups for start in range(0, len(group), size)]


def iterate_epoch(
    examples: Examples,
    buckets: LengthBuckets,
    settings: TrainLstm,
    *,
    n_classes: int,
    fill_value: Array,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Generate the augmented batches of one epoch: each clip once, in random order.

    Parameters
    ----------
    examples : Examples
        Training clips.
    buckets : LengthBuckets
        Lengths that clips are padded or truncated to.
    settings : TrainLstm
        Section `train_lstm` of the settings.
    n_classes : int
    fill_value : ndarray of shape (n_features,)
        Values of masked frames and features: the training mean.
    rng : Generator
    """
    targets = encode_targets(examples.labels, settings, n_classes=n_classes)
    lengths = buckets.lengths(examples.frames)
    order = rng.permutation(len(lengths))
    batches = [order[batch] for batch in group_by_length(lengths[order], size=settings.batch_size)]
    rng.shuffle(batches)  # type: ignore[arg-type]
    for batch in batches:
        frames = buckets.stack((examples.frames[clip] for clip in batch), length=lengths[batch[0]])
        functionals = None if examples.functionals is None else examples.functionals[batch]
        yield augment_batch(
            frames, functionals, targets[batch], settings, examples.branch_inputs, fill_value=fill_value, rng=rng
        )


def encode_targets(labels: Labels, settings: TrainLstm, *, n_classes: int) -> Array:
    """One-hot encode labels as (n_clips, n_classes), scaled by the class weight if `class_weight` is balanced.

    Balanced weights give all classes the same sum, and keep the sum over all clips.
    """
    targets = np.eye(n_classes, dtype=np.float32)[labels]
    if settings.class_weight == "balanced":
        count = np.bincount(labels)
        weights = (len(labels) / (np.count_nonzero(count) * count[labels])).astype(np.float32)
        targets *= weights[:, None]
    return targets


def augment_batch(
    frames: Array,
    functionals: Array | None,
    targets: Array,
    settings: TrainLstm,
    branch_inputs: BranchInputs = ALL_FEATURES,
    *,
    fill_value: Array,
    rng: np.random.Generator,
) -> Batch:
    """Apply mixup and SpecAugment to a batch, as far as the settings enable them; `frames` is overwritten.

    The features of each recurrent branch are masked independently. A feature of both branches is masked for both.
    """
    if settings.mixup:
        arrays = [frames, targets] if functionals is None else [frames, targets, functionals]
        frames, targets, *mixed = mixup(*arrays, alpha=settings.mixup, rng=rng)
        functionals = mixed[0] if mixed else None
    if settings.spec_augment:
        spans = [*branch_inputs.spectral, *branch_inputs.prosody] or [(0, len(fill_value))]
        for (start, stop), generator in zip(spans, [rng, *rng.spawn(len(spans) - 1)], strict=True):
            spec_augment(frames[..., start:stop], fill_value=fill_value[start:stop], rng=generator)
    return model_inputs(frames, functionals), targets


def mixup(*arrays: Array, alpha: float, rng: np.random.Generator) -> list[Array]:
    """Mix each clip of a batch with another clip, whose weight is at most 0.5.

    Parameters
    ----------
    *arrays : ndarray of shape (n_clips, ...)
        float32 arrays such as frames and targets; their rows are mixed with the same partners and weights.
    alpha : float
        Parameter of the Beta(alpha, alpha) distribution of weights; smaller values mix less.

    References
    ----------
    Zhang et al. (2018), mixup: Beyond empirical risk minimization.
    """
    weights = rng.beta(alpha, alpha, size=len(arrays[0])).astype(np.float32)
    weights, partners = np.minimum(weights, 1 - weights), rng.permutation(len(arrays[0]))
    mixed = []
    for array in arrays:
        result = array[partners]
        result -= array  # in place: further arrays of this size would double the time
        result *= weights.reshape(-1, *[1] * (array.ndim - 1))
        result += array
        mixed.append(result)
    return mixed


def spec_augment(frames: Array, *, fill_value: Array, rng: np.random.Generator) -> None:
    """Mask `N_MASKS` bands of time and of features in (n_clips, n_frames, n_features) frames, in place.

    References
    ----------
    Park et al. (2019), SpecAugment.
    """
    sizes = frames.shape[2], frames.shape[1]
    feature_masks, time_masks = (_draw_masks(size, n_clips=len(frames), rng=rng) for size in sizes)
    for clip, features, times in zip(frames, feature_masks, time_masks, strict=True):
        for start, stop in features:
            clip[:, start:stop] = fill_value[start:stop]
        for start, stop in times:
            clip[start:stop] = fill_value


def _draw_masks(size: int, *, n_clips: int, rng: np.random.Generator) -> list[list[Span]]:
    max_width = max(1, int(size * MAX_MASK_FRACTION)) if size > 1 else 0
    widths = rng.integers(0, max_width, size=(n_clips, N_MASKS), endpoint=True)
    starts = rng.integers(0, size - widths, endpoint=True)
    masks: list[list[Span]] = np.stack([starts, starts + widths], axis=-1).tolist()
    return masks
