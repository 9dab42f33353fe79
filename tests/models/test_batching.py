"""Training batches contain each clip once per epoch, mixed and masked within the limits."""

from typing import Any

import numpy as np
import pytest

from ser.models import batching
from ser.models.batching import BranchInputs, LengthBuckets
from tests.helpers import tiny_models

TRAIN = tiny_models.examples(24)
FILL_VALUE = np.arange(8, dtype=np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def epoch(
    examples: batching.Examples, *, seed: int = 0, step: int = 8, n_classes: int = 3, **changes: Any
) -> list[Any]:
    settings = tiny_models.lstm_settings(**{"mixup": 0, "spec_augment": False} | changes)
    buckets, fill_value = LengthBuckets(step=step, max_length=24), FILL_VALUE[: examples.frames[0].shape[1]]
    return list(
        batching.iterate_epoch(examples, buckets, settings, n_classes=n_classes, fill_value=fill_value, rng=rng(seed))
    )


def test_mixup_uses_the_same_weights_and_partners_for_all_arrays() -> None:
    """Frames, targets and functionals are mixed alike; each clip keeps at least half, and the inputs do not change."""
    targets = np.eye(6, dtype=np.float32)
    frames = np.repeat(targets[:, None], 5, axis=1)  # each frame equals the target
    mixed, mixed_targets, functionals = batching.mixup(frames, targets, 2 * targets, alpha=0.5, rng=rng())
    for frame in range(5):
        np.testing.assert_allclose(mixed[:, frame], mixed_targets, atol=1e-6)
    np.testing.assert_allclose(functionals, 2 * mixed_targets, atol=1e-6)
    np.testing.assert_allclose(mixed_targets.sum(axis=1), 1, atol=1e-6)
    assert (np.diag(mixed_targets) >= 0.5).all()
    assert (np.diag(mixed_targets) < 0.999).any()
    assert mixed.dtype == mixed_targets.dtype == np.float32
    assert (targets == np.eye(6)).all()


@pytest.mark.parametrize(("class_weight", "expected"), [("balanced", [3, 0, 3]), (None, [5, 0, 1])])
def test_class_weight(class_weight: str | None, expected: list[int]) -> None:
    """Balanced weights give each class that occurs the same sum of targets; the total stays the number of clips."""
    examples = batching.Examples([np.zeros((8, 3), dtype=np.float32)] * 6, np.array([0, 0, 2, 0, 0, 0]))
    total = sum(targets.sum(axis=0) for _, targets in epoch(examples, class_weight=class_weight))
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_masks_are_bands_of_time_and_features() -> None:
    """Masked frames and features get the fill value, at most a quarter of either axis, and all else is unchanged."""
    frames = np.full((40, 32, 8), 100, dtype=np.float32)
    batching.spec_augment(frames, fill_value=FILL_VALUE, rng=rng())
    masked = frames != 100
    np.testing.assert_array_equal(frames[masked], np.broadcast_to(FILL_VALUE, frames.shape)[masked])
    masked_frames, masked_features = masked.all(axis=2), masked.all(axis=1)
    np.testing.assert_array_equal(masked, masked_frames[:, :, None] | masked_features[:, None, :])
    assert 0 < masked_frames.mean(axis=1).max() <= 1 / 4
    assert 0 < masked_features.mean(axis=1).max() <= 1 / 4
    single = np.full((9, 1, 1), 100, dtype=np.float32)
    batching.spec_augment(single, fill_value=FILL_VALUE[:1], rng=rng())
    assert (single == 100).all()  # a clip is never masked completely


def test_branches_are_masked_independently() -> None:
    """The masks of the first branch do not depend on a second branch, whose masks differ."""
    settings, targets = tiny_models.lstm_settings(spec_augment=True), np.eye(40, dtype=np.float32)

    def masked(inputs: BranchInputs) -> Any:
        frames, fill_value = np.full((40, 32, 24), 100, dtype=np.float32), np.zeros(24, dtype=np.float32)
        result, _ = batching.augment_batch(frames, None, targets, settings, inputs, fill_value=fill_value, rng=rng())
        return result == 0

    one, two = masked(BranchInputs([(0, 16)])), masked(BranchInputs([(0, 16)], [(16, 24)]))
    assert not one[..., 16:].any()
    np.testing.assert_array_equal(one[..., :16], two[..., :16])
    first, second = (two[..., columns].all(axis=2) for columns in (slice(16), slice(16, 24)))
    assert (first != second).any()
    assert two[..., 16:].any(axis=(1, 2)).mean() > 0.9


def test_clips_keep_their_functionals() -> None:
    """Each clip occurs once per epoch, together with its functionals, which are not masked."""
    frames = [np.full((length, 3), n, dtype=np.float32) for n, length in enumerate([8, 8, 16, 3, 16, 8, 30])]
    numbers = np.arange(7, dtype=np.float32)[:, None]
    batches = epoch(batching.Examples(frames, np.zeros(7, np.int64), numbers), batch_size=2)
    for (stacked, functionals), _ in batches:
        np.testing.assert_array_equal(stacked[:, 0, :1], functionals)
    assert sorted(n for (_, functionals), _ in batches for n in functionals[:, 0].tolist()) == list(range(7))


@pytest.mark.parametrize("changes", [{"mixup": 0.4}, {"spec_augment": True}])
def test_epoch_depends_on_the_generator_only(changes: dict[str, object]) -> None:
    """Equal generators give equal batches, others give other batches, and the clips are not modified."""
    before = [clip.copy() for clip in TRAIN.frames]
    one, same, other = (
        [frames.tobytes() + targets.tobytes() for frames, targets in epoch(TRAIN, seed=seed, step=4, **changes)]
        for seed in (1, 1, 2)
    )
    assert one == same != other
    for clip, expected in zip(TRAIN.frames, before, strict=True):
        np.testing.assert_array_equal(clip, expected)


@pytest.mark.parametrize(
    ("bucket", "longest", "hop", "expected"),
    [
        (0.16, 6, 0.01, (16, 592)),  # the largest multiple up to 600 frames
        (0.16, 0.05, 0.01, (16, 16)),
        (0.001, 6, 0.01, (1, 600)),
        (0.1, 1, 0.0125, (8, 80)),
    ],
)
def test_buckets_in_frames(bucket: float, longest: float, hop: float, expected: tuple[int, int]) -> None:
    """The maximum length is a multiple of the step, at least one step."""
    settings = tiny_models.lstm_settings(bucket_seconds=bucket, max_seconds=longest)
    assert LengthBuckets.from_settings(settings, hop_seconds=hop) == LengthBuckets(*expected)


def test_clips_are_padded_or_truncated() -> None:
    """A clip is padded to the next multiple of the step with its last frame, or truncated at the maximum."""
    frames = [np.zeros((n, 4), dtype=np.float32) for n in (1, 15, 16, 17, 48, 49, 1000)]
    assert LengthBuckets(step=16, max_length=48).lengths(frames).tolist() == [16, 16, 16, 32, 48, 48, 48]
    clips = [np.array(rows, dtype=np.float32) for rows in ([[1, 2]], [[1, 2], [3, 4], [5, 6]], [[9, 8]] * 4)]
    stacked = LengthBuckets(step=3, max_length=9).stack(clips, length=3)
    assert stacked.tolist() == [[[1, 2]] * 3, [[1, 2], [3, 4], [5, 6]], [[9, 8]] * 3]
    assert stacked.dtype == np.float32


def test_mean_and_variance() -> None:
    """Statistics are over all frames, accurate with a large offset, and the variance of a constant is not zero."""
    clips = [np.array([[1, 10], [3, 10]], dtype=np.float32), np.array([[5, 10]], dtype=np.float32)]
    mean, variance = batching.mean_and_variance(clips)
    assert mean.tolist() == [3, 10]
    assert variance == pytest.approx([8 / 3, 1e-8])
    clips = [(1e4 + rng(n).normal(size=(1000, 2))).astype(np.float32) for n in range(20)]
    exact = np.concatenate(clips).astype(np.float64)
    mean, variance = batching.mean_and_variance(clips)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(variance, exact.var(axis=0), rtol=1e-6)
