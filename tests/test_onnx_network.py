"""An exported network computes what the network computes, and what cannot be exported is said."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tiny

from ser import batches, onnx_network, trainer
from ser.batches import ALL, Seen
from ser.errors import InputError
from ser.network import build_for
from ser.networks import open_network

TRAIN = tiny.examples(24)


def run(model: Any, frames: Any, functionals: Any, folder: Any) -> Any:
    path = folder / "network.onnx"
    path.write_bytes(onnx_network.convert(model))
    return open_network(path)(frames, functionals)


def network(functionals: Any = None, *, seen: Seen = ALL, **changes: Any) -> Any:
    trainer.set_up(1)
    train = replace(TRAIN, functionals=functionals, seen=seen)
    return build_for(train, tiny.lstm_settings(**changes), n_classes=tiny.N_CLASSES)


def check(model: Any, folder: Any) -> None:
    rng, (n_features, *n_functionals) = np.random.default_rng(0), [tensor.shape[-1] for tensor in model.inputs]
    for shape in ((1, 8), (3, 24), (2, 31)):
        frames = rng.normal(5, 9, size=(*shape, n_features)).astype(np.float32)
        beside = rng.normal(5, 9, size=(shape[0], *n_functionals)).astype(np.float32) if n_functionals else None
        found = run(model, frames, beside, folder)
        expected = model(batches.together(frames, beside), training=False).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("architecture", ["lstm", "bilstm", "cnn_bilstm"])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_architecture(architecture: str, stride: int, tmp_path: Any) -> None:
    """Each network gives the same probabilities, for any number of clips and frames; and the same file each time."""
    model = network(architecture=architecture, stride=stride)
    for layer in model.layers:  # statistics of batches that are not those of an untrained network
        if "batch_normalization" in layer.name:
            weights = [0.5 + np.random.default_rng(n).random(v.shape) for n, v in enumerate(layer.get_weights())]
            layer.set_weights(weights)
    check(model, tmp_path)
    assert onnx_network.convert(model) == onnx_network.convert(model)


@pytest.mark.parametrize("seen", [ALL, Seen(movement=[(1, 3)]), Seen([(0, 3)], [(1, 2), (3, 4)], [(0, 2), (3, 5)])])
def test_functionals_beside_frames(seen: Seen, tmp_path: Any) -> None:
    """A network that sees both has two inputs, and functionals far from training count as `ser.network.WIDEST` does."""
    values = np.random.default_rng(1).normal(size=(24, 5)).astype(np.float32)
    model = network(values, seen=seen)
    check(model, tmp_path)
    far, farther = (np.full((1, 5), level, dtype=np.float32) for level in (1e3, 1e6))
    frames = TRAIN.frames[0][None]
    np.testing.assert_array_equal(run(model, frames, far, tmp_path), run(model, frames, farther, tmp_path))


def test_other_layers(tmp_path: Any) -> None:
    """Layers that networks may come to have are written too: pooled statistics, two axes, the last state alone."""
    from keras import Input, Model, layers

    trainer.set_up(1)
    frames = Input((None, 6))
    x = layers.LayerNormalization()(layers.Dense(8, activation="tanh")(frames))
    image = layers.Conv2D(3, 3, strides=(2, 1), padding="same", activation="relu")(layers.Reshape((-1, 8, 1))(x))
    image = layers.Reshape((-1, 12))(layers.MaxPooling2D((1, 2), padding="same")(image))
    state = layers.Bidirectional(layers.LSTM(4))(image)
    backwards = layers.LSTM(4, go_backwards=True)(x)
    pooled = [layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x), state, backwards]
    x = layers.Activation("silu")(layers.Concatenate()(pooled))
    x = layers.Multiply()([layers.Dense(5)(x), layers.Dense(5, activation="sigmoid")(x)])
    model = Model(frames, layers.Dense(3, activation="softmax")(layers.Add()([x, layers.Dense(5)(x)])))
    check(model, tmp_path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda layers: layers.GRU(4, return_sequences=True), "is a GRU, which cannot be exported"),
        (lambda layers: layers.Conv1D(4, 3, padding="causal"), "has padding="),
        (lambda layers: layers.Dense(4, activation="mish"), "activation 'mish'"),
        (lambda layers: layers.LSTM(4, activation="relu", return_sequences=True), "has activation='relu'"),
        (lambda layers: layers.BatchNormalization(axis=1), "has axis=1"),
    ],
)
def test_what_is_unknown_is_refused(make: Any, reason: str) -> None:
    """A layer, or a setting of one, that would be written otherwise than it computes is an error that names it."""
    from keras import Input, Model, layers

    inputs = Input((7, 6))
    with pytest.raises(InputError, match=reason):
        onnx_network.convert(Model(inputs, layers.Flatten()(make(layers)(inputs))))
