"""The network has the layers of the settings, and its output is the mean of its branches."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ser.models import trainer
from ser.models.batching import ALL_FEATURES, BranchInputs, Examples
from ser.models.network import BRANCHES, build_model
from tests.helpers import tiny_models


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("lstm", (0, 1, 0)), ("bilstm", (0, 2, 2)), ("cnn_bilstm", (2, 1, 1))],
)
def test_architectures(architecture: str, expected: tuple[int, int, int]) -> None:
    """Each architecture has the convolutions, recurrent and bidirectional layers of params.yaml."""
    model = tiny_models.untrained(architecture)
    kinds = [type(layer).__name__ for layer in model.layers]
    n_bidirectional = kinds.count("Bidirectional")
    assert (kinds.count("Conv1D"), kinds.count("LSTM") + n_bidirectional, n_bidirectional) == expected
    assert model.input_shape == (None, None, 4)
    assert model.output_shape == (None, 3)


def build_branches(inputs: BranchInputs, **changes: Any) -> tuple[Any, Any, list[str], Examples]:
    """Build an untrained network: the training model, the model, the names of its branches, and clips."""
    clips = replace(tiny_models.with_functionals(24, seed=1, in_frames=True), branch_inputs=inputs)
    settings = tiny_models.lstm_settings(**changes)
    trainer.make_deterministic(1)
    model = build_model(clips, settings, n_classes=tiny_models.N_CLASSES)
    names = [layer.name for layer in model.layers if layer.name in BRANCHES]
    return trainer.build_training_model(model, settings, steps=1), model, names, clips


@pytest.mark.parametrize(
    ("weight", "inputs"),
    [
        (1, ALL_FEATURES),
        (3, BranchInputs(spectral=[(0, 3)])),
        (2, BranchInputs(dynamics=[(0, 2), (4, 5)])),
        (2, BranchInputs(spectral=[(0, 2)], prosody=[(1, 2), (3, 4)])),
        (2, BranchInputs(spectral=[(0, 2)], prosody=[(2, 4)], dynamics=[(0, 2)])),
    ],
)
def test_output_is_the_weighted_mean_of_branch_logits(weight: int, inputs: BranchInputs) -> None:
    """The output is the normalized weighted geometric mean of the branches, and has no loss."""
    learner, model, names, clips = build_branches(inputs, functionals_fusion_weight=weight)
    batch = np.stack([clip[:3] for clip in clips.frames]), clips.functionals
    fused, *branches = (np.asarray(probabilities) for probabilities in learner(batch, training=False))
    assert len(branches) == 2 + bool(inputs.dynamics) + bool(inputs.prosody)
    weights = [weight if name in ("by_functionals", "by_movement") else 1 for name in names]
    mean = np.prod([p**w for p, w in zip(branches, weights, strict=True)], axis=0) ** (1 / sum(weights))
    np.testing.assert_allclose(fused, mean / mean.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(fused, model(batch, training=False))
    for one, other in itertools.combinations(branches, 2):
        assert np.abs(one - other).max() > 1e-3
    assert learner.loss[0] is None


def test_branches_use_their_columns_only() -> None:
    """Changing a column changes the outputs of the branches that use it, and of no other branch."""
    inputs = BranchInputs(spectral=[(0, 3)], prosody=[(2, 4)], dynamics=[(0, 2), (4, 5)])
    learner, _, names, clips = build_branches(inputs)
    frames, functionals = np.stack([clip[:3] for clip in clips.frames]), clips.functionals
    before = learner((frames, functionals), training=False)[1:]

    def changed(batch: Any) -> set[str]:
        after = learner(batch, training=False)[1:]
        distances = [np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in zip(before, after, strict=True)]
        assert all(distance == 0 or distance > 1e-4 for distance in distances)
        return {name for name, distance in zip(names, distances, strict=True) if distance}

    recurrent = [{"by_frames"}, {"by_frames"}, {"by_frames", "by_prosody"}, {"by_prosody"}]
    for column, expected in enumerate(recurrent):
        assert changed((frames + 50 * np.eye(4, dtype=np.float32)[column], functionals)) == expected
    dense = [{"by_functionals", "by_movement"}] * 2 + [{"by_functionals"}] * 2 + [{"by_functionals", "by_movement"}]
    for column, expected in enumerate(dense):
        assert changed((frames, functionals + np.eye(5, dtype=np.float32)[column])) == expected
