"""The network has the layers that the settings say, and its answer is the average of its branches."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ser.models import trainer
from ser.models.batching import ALL_FEATURES, BranchInputs, Examples
from ser.models.network import BRANCHES, build_from_data
from tests.helpers import tiny_models

TRAIN = tiny_models.examples(24)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("lstm", (0, 1, 0)), ("bilstm", (0, 2, 2)), ("cnn_bilstm", (2, 1, 1))],
)
def test_architectures(architecture: str, expected: tuple[int, int, int]) -> None:
    """They have the convolutions, recurrent layers and directions that params.yaml says."""
    layers = tiny_models.untrained(architecture).layers
    kinds = [type(layer).__name__ for layer in layers]
    n_bidirectional = kinds.count("Bidirectional")
    found = kinds.count("Conv1D"), kinds.count("LSTM") + n_bidirectional, n_bidirectional
    assert found == expected
    assert tiny_models.untrained(architecture).input_shape == (None, None, 4)
    assert tiny_models.untrained(architecture).output_shape == (None, 3)


def test_standardisation_is_part_of_the_model() -> None:
    """The first layer turns training frames into mean 0 and variance 1, also where a feature hardly varies."""
    layer = tiny_models.untrained("lstm").get_layer("standardise")
    standardised = np.asarray(layer(np.concatenate(TRAIN.frames)[None]))[0]
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(standardised.std(axis=0), 1, atol=1e-3)


def test_the_seed_decides_how_weights_begin() -> None:
    """The same seed gives the same weights before training, another gives others."""
    settings = tiny_models.lstm_settings(architecture="lstm")
    weights = []
    for seed in (1, 1, 2):
        trainer.make_deterministic(seed)
        model = build_from_data(TRAIN, settings, n_classes=tiny_models.N_CLASSES)
        weights.append(model.get_layer("by_frames_units").kernel.numpy().tolist())
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize(
    ("weight", "seen"),
    [
        (1, ALL_FEATURES),
        (3, BranchInputs(spectral=[(0, 3)])),
        (2, BranchInputs(dynamics=[(0, 2), (4, 5)])),
        (2, BranchInputs(spectral=[(0, 2)], prosody=[(1, 2), (3, 4)])),
        (2, BranchInputs(spectral=[(0, 2)], prosody=[(2, 4)], dynamics=[(0, 2)])),
    ],
)
def test_the_answer_averages_the_branches(weight: int, seen: BranchInputs) -> None:
    """It is the normalised geometric mean of what each branch says, by weight, and no gradient passes through it."""
    learner, model, clips = branches(functionals_fusion_weight=weight, seen=seen)
    given = np.stack([clip[:3] for clip in clips.frames]), clips.functionals
    answer, *each = (np.asarray(shares) for shares in learner(given, training=False))
    assert len(each) == 2 + bool(seen.dynamics) + bool(seen.prosody)
    names = [layer.name for layer in model.layers if layer.name in BRANCHES]
    weights = [weight if name in ("by_functionals", "by_movement") else 1 for name in names]
    mean = np.prod([shares**one for shares, one in zip(each, weights, strict=True)], axis=0) ** (1 / sum(weights))
    np.testing.assert_allclose(answer, mean / mean.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(answer, model(given, training=False))
    for one, other in itertools.combinations(each, 2):
        assert np.abs(one - other).max() > 1e-3
    assert learner.loss[0] is None


def test_a_branch_sees_nothing_but_its_own() -> None:
    """What each is told of a changed feature, or of a changed functional: the others say what they said."""
    learner, model, clips = branches(seen=BranchInputs(spectral=[(0, 3)], prosody=[(2, 4)], dynamics=[(0, 2), (4, 5)]))
    names = [layer.name for layer in model.layers if layer.name in BRANCHES]
    frames, values = np.stack([clip[:3] for clip in clips.frames]), clips.functionals
    assert values is not None

    def changed(given: Any) -> set[str]:
        pairs = zip(learner((frames, values), training=False)[1:], learner(given, training=False)[1:], strict=True)
        moved = [np.abs(np.asarray(one) - np.asarray(other)).max() for one, other in pairs]
        assert all(distance == 0 or distance > 1e-4 for distance in moved)
        return {name for name, distance in zip(names, moved, strict=True) if distance}

    recurrent = [{"by_frames"}, {"by_frames"}, {"by_frames", "by_prosody"}, {"by_prosody"}]
    for column, expected in enumerate(recurrent):
        assert changed((frames + 50 * np.eye(4, dtype=np.float32)[column], values)) == expected
    dense = [{"by_functionals", "by_movement"}] * 2 + [{"by_functionals"}] * 2 + [{"by_functionals", "by_movement"}]
    for column, expected in enumerate(dense):
        assert changed((frames, values + np.eye(5, dtype=np.float32)[column])) == expected


def branches(*, seen: BranchInputs, **changes: Any) -> tuple[Any, Any, Examples]:
    """Build a network that has learned nothing, and clips for it: the learner, the model, the clips."""
    clips = replace(tiny_models.with_functionals(24, seed=1, in_frames=True), seen=seen)
    settings = tiny_models.lstm_settings(**changes)
    trainer.make_deterministic(1)
    model = build_from_data(clips, settings, n_classes=tiny_models.N_CLASSES)
    return trainer.build_training_model(model, settings, steps=1), model, clips
