"""What a network is shown in training: each clip once an epoch, blended and masked by no more than is said."""

from typing import Any

import numpy as np
import pytest

from ser.models import batching
from ser.models.batching import LengthBuckets
from tests.helpers import tiny_models

TRAIN = tiny_models.examples(24)
BLANK = np.arange(8, dtype=np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_mixing_blends_frames_as_targets() -> None:
    """Each clip keeps the larger share, its target says how much, and the frames are blended by just that share."""
    frames = np.repeat(np.eye(6, dtype=np.float32)[:, None], 5, axis=1)  # each clip is its own target in every frame
    targets = np.eye(6, dtype=np.float32)
    mixed, shares = batching.mixup(frames, targets, alpha=0.5, rng=rng())
    for frame in range(5):
        np.testing.assert_allclose(mixed[:, frame], shares, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert (np.diag(shares) >= 0.5).all()
    assert (np.diag(shares) < 0.999).any()
    assert mixed.dtype == shares.dtype == np.float32


def test_functionals_are_mixed_as_frames_are() -> None:
    """A clip's functionals, frames and target are blended with the same other clip's, by the same share."""
    targets = np.eye(6, dtype=np.float32)
    mixed, shares, beside = batching.mixup(targets[:, None].copy(), targets, 2 * targets, alpha=0.5, rng=rng())
    np.testing.assert_allclose(mixed[:, 0], shares, atol=1e-6)
    np.testing.assert_allclose(beside, 2 * shares, atol=1e-6)
    assert (targets == np.eye(6)).all()  # what was handed in is not touched


def test_an_epoch_gives_clips_with_their_functionals() -> None:
    """Whatever the order, each clip comes with its own, and masks hide frames only."""
    frames = [np.full((length, 3), n, dtype=np.float32) for n, length in enumerate([8, 8, 16, 3, 16, 8, 30])]
    numbers = np.arange(7, dtype=np.float32)[:, None]
    examples = batching.Examples(frames, np.zeros(7, np.int64), numbers)
    settings = tiny_models.lstm_settings(batch_size=2, mixup=0, spec_augment=False)
    made = list(
        batching.iterate_epoch(
            examples, LengthBuckets(step=8, max_length=24), settings, n_classes=2, blank=BLANK[:3], rng=rng()
        )
    )
    for (given, functionals), _ in made:
        np.testing.assert_array_equal(given[:, 0, :1], functionals)
    assert sorted(n for (_, functionals), _ in made for n in functionals[:, 0].tolist()) == list(range(7))


@pytest.mark.parametrize("class_weight", ["balanced", None])
def test_every_class_weighs_the_same_where_asked(class_weight: str | None) -> None:
    """Of five clips of one class and one of another, either class's targets sum to three; else each clip's is one."""
    frames = [np.zeros((8, 3), dtype=np.float32)] * 6
    examples = batching.Examples(frames, np.array([0, 0, 2, 0, 0, 0]))
    settings = tiny_models.lstm_settings(class_weight=class_weight, mixup=0, spec_augment=False)
    made = batching.iterate_epoch(
        examples, LengthBuckets(step=8, max_length=24), settings, n_classes=3, blank=BLANK[:3], rng=rng()
    )
    total = sum(targets.sum(axis=0) for _, targets in made)
    np.testing.assert_allclose(total, [3, 0, 3] if class_weight else [5, 0, 1], rtol=1e-6)


def test_a_small_alpha_mixes_little() -> None:
    """The closer alpha to 0, the less is taken from other clips."""
    targets = np.eye(50, dtype=np.float32)
    kept = [
        np.diag(batching.mixup(targets[:, None], targets, alpha=alpha, rng=rng())[1]).mean() for alpha in (0.01, 0.2, 1)
    ]
    assert kept[0] > 0.97
    assert kept[0] > kept[1] > kept[2] > 0.6


def test_masks_hide_bands() -> None:
    """Whole frames and whole features become the blank, at most a quarter of either, and the rest stays as it was."""
    frames = np.full((40, 32, 8), 100, dtype=np.float32)
    masked = batching.spec_augment(frames, blank=BLANK, rng=rng())
    hidden = masked != 100
    np.testing.assert_array_equal(masked[hidden], np.broadcast_to(BLANK, masked.shape)[hidden])
    whole_frames, whole_features = hidden.all(axis=2), hidden.all(axis=1)
    explained = whole_frames[:, :, None] | whole_features[:, None, :]
    np.testing.assert_array_equal(hidden, explained)
    assert 0 < whole_frames.mean(axis=1).max() <= 1 / 4
    assert 0 < whole_features.mean(axis=1).max() <= 1 / 4
    assert masked is frames


def test_what_a_branch_misses_does_not_depend_on_another() -> None:
    """Each branch's features are masked for themselves, and those of the first as if there were no other."""
    settings, targets = tiny_models.lstm_settings(spec_augment=True), np.eye(40, dtype=np.float32)

    def hidden(seen: batching.BranchInputs) -> Any:
        frames = np.full((40, 32, 24), 100, dtype=np.float32)
        blank = np.zeros(24, dtype=np.float32)
        found, _ = batching.augment_batch(frames, None, targets, settings, blank=blank, rng=rng(), seen=seen)
        return found == 0

    alone, beside = hidden(batching.BranchInputs([(0, 16)])), hidden(batching.BranchInputs([(0, 16)], [(16, 24)]))
    assert not alone[..., 16:].any()
    np.testing.assert_array_equal(alone[..., :16], beside[..., :16])
    frames_of = [beside[..., columns].all(axis=2) for columns in (slice(16), slice(16, 24))]
    assert (frames_of[0] != frames_of[1]).any()
    assert beside[..., 16:].any(axis=(1, 2)).mean() > 0.9


def test_a_clip_of_one_frame_and_one_feature_is_not_hidden() -> None:
    """There is always something left."""
    frames = np.full((9, 1, 1), 100, dtype=np.float32)
    assert (batching.spec_augment(frames, blank=BLANK[:1], rng=rng()) == 100).all()


@pytest.mark.parametrize("changes", [{"mixup": 0.4}, {"spec_augment": True}])
def test_an_epoch_depends_on_its_generator_alone(changes: dict[str, object]) -> None:
    """The same generator gives the same batches, another gives others, and the clips themselves stay as they were."""
    settings, buckets = tiny_models.lstm_settings(batch_size=5, **changes), LengthBuckets(step=4, max_length=24)
    before = [clip.copy() for clip in TRAIN.frames]

    def epoch(seed: int) -> list[bytes]:
        blank = np.zeros(4, dtype=np.float32)
        made = batching.iterate_epoch(TRAIN, buckets, settings, n_classes=3, blank=blank, rng=rng(seed))
        return [frames.tobytes() + targets.tobytes() for frames, targets in made]

    assert epoch(1) == epoch(1) != epoch(2)
    for clip, old in zip(TRAIN.frames, before, strict=True):
        np.testing.assert_array_equal(clip, old)


# Lengths and moments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bucket", "most", "hop", "expected"),
    [
        (0.16, 6, 0.01, LengthBuckets(step=16, max_length=592)),  # the largest multiple that is not above 600 frames
        (0.16, 0.16, 0.01, LengthBuckets(step=16, max_length=16)),
        (0.16, 0.05, 0.01, LengthBuckets(step=16, max_length=16)),
        (0.001, 6, 0.01, LengthBuckets(step=1, max_length=600)),
        (0.1, 1, 0.0125, LengthBuckets(step=8, max_length=80)),
    ],
)
def test_buckets_are_counted_in_frames(bucket: float, most: float, hop: float, expected: LengthBuckets) -> None:
    """Seconds become frames: steps of a bucket, and as many whole ones as the longest clip may have."""
    settings = tiny_models.lstm_settings(bucket_seconds=bucket, max_seconds=most)
    assert LengthBuckets.of(settings, hop_seconds=hop) == expected


def test_lengths() -> None:
    """A clip is brought to the next multiple of the step, and to no more than the most."""
    frames = [np.zeros((n, 4), dtype=np.float32) for n in (1, 15, 16, 17, 48, 49, 1000)]
    assert LengthBuckets(step=16, max_length=48).lengths(frames).tolist() == [16, 16, 16, 32, 48, 48, 48]


def test_stacking() -> None:
    """A short clip repeats its last frame, a long one is cut at the end, and one that fits is left alone."""
    clips = [np.array(rows, dtype=np.float32) for rows in ([[1, 2]], [[1, 2], [3, 4], [5, 6]], [[9, 8]] * 4)]
    stacked = LengthBuckets(step=3, max_length=9).stack(clips, length=3)
    assert stacked.tolist() == [[[1, 2]] * 3, [[1, 2], [3, 4], [5, 6]], [[9, 8]] * 3]
    assert stacked.dtype == np.float32
    assert LengthBuckets(step=3, max_length=9).stack(clips[1:2], length=5)[0, :, 0].tolist() == [1, 3, 5, 5, 5]


def test_moments() -> None:
    """Mean and variance are over all frames of all clips, long clips counting more; a constant is not divided by 0."""
    clips = [np.array([[1, 10], [3, 10]], dtype=np.float32), np.array([[5, 10]], dtype=np.float32)]
    mean, variance = batching.mean_and_variance(clips)
    assert mean.tolist() == [3, 10]
    assert variance == pytest.approx([8 / 3, 1e-8])


def test_moments_do_not_drift() -> None:
    """A large offset, and many frames, do not eat up the variance."""
    rng = np.random.default_rng(0)
    clips = [(1e4 + rng.normal(size=(1000, 2))).astype(np.float32) for _ in range(20)]
    exact = np.concatenate(clips).astype(np.float64)
    mean, variance = batching.mean_and_variance(clips)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(variance, exact.var(axis=0), rtol=1e-6)
