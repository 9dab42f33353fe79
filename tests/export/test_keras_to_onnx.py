"""Test that exported networks have the probabilities of Keras, and that unsupported layers are rejected."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.export import keras_to_onnx
from ser.inference.onnx_session import Network, open_network
from ser.models import batching, trainer
from ser.models.batching import ALL_FEATURES, BranchInputs
from ser.models.network import build_model
from ser.utils.errors import UserError
from tests.helpers import tiny_models

ROOT = Path(__file__).parents[2]
TRAIN = tiny_models.examples(24)
FUNCTIONALS = np.random.default_rng(1).normal(size=(24, 5)).astype(np.float32)
ALL_BRANCHES = BranchInputs([(0, 3)], [(1, 2), (3, 4)], [(0, 2), (3, 5)])


def network(functionals: Any = None, *, branch_inputs: BranchInputs = ALL_FEATURES, **changes: Any) -> Any:
    trainer.make_deterministic(1)
    train = replace(TRAIN, functionals=functionals, branch_inputs=branch_inputs)
    model = build_model(train, tiny_models.lstm_settings(**changes), n_classes=tiny_models.N_CLASSES)
    for layer in model.layers:  # batch statistics other than the initial ones
        if "batch_normalization" in layer.name:
            weights = [0.5 + np.random.default_rng(n).random(v.shape) for n, v in enumerate(layer.get_weights())]
            layer.set_weights(weights)
    return model


def check_export(model: Any, folder: Path) -> Network:
    """Export a network, and compare its probabilities with those of Keras."""
    path = folder / "network.onnx"
    path.write_bytes(keras_to_onnx.convert(model))
    run = open_network(path)
    rng, (n_features, *n_functionals) = np.random.default_rng(0), [tensor.shape[-1] for tensor in model.inputs]
    for shape in ((1, 8), (3, 24), (2, 31)):
        frames = rng.normal(5, 9, size=(*shape, n_features)).astype(np.float32)
        functionals = rng.normal(5, 9, size=(shape[0], *n_functionals)).astype(np.float32) if n_functionals else None
        expected = model(batching.model_inputs(frames, functionals), training=False).numpy()
        np.testing.assert_allclose(run(frames, functionals), expected, atol=1e-6)
    return run


@pytest.mark.parametrize(
    ("architecture", "conv_stride"), [("lstm", 1), ("bilstm", 1), ("cnn_bilstm", 1), ("cnn_bilstm", 2)]
)
def test_every_architecture(architecture: str, conv_stride: int, tmp_path: Path) -> None:
    """Probabilities are those of Keras, for any number of clips and frames."""
    check_export(network(architecture=architecture, conv_stride=conv_stride), tmp_path)


@pytest.mark.parametrize("branch_inputs", [ALL_FEATURES, BranchInputs(dynamics=[(1, 3)]), ALL_BRANCHES])
def test_frames_and_functionals(branch_inputs: BranchInputs, tmp_path: Path) -> None:
    """A network with functionals has two inputs, and limits functionals that are far from those of training."""
    run = check_export(network(FUNCTIONALS, branch_inputs=branch_inputs), tmp_path)
    far, farther = (np.full((1, 5), level, dtype=np.float32) for level in (1e3, 1e6))
    frames = TRAIN.frames[0][None]
    np.testing.assert_array_equal(run(frames, far), run(frames, farther))


def test_graph_names_inputs_and_output() -> None:
    """The graph has names for its inputs, output and dynamic axes, and no version of tf2onnx."""
    import onnx

    model = onnx.load_from_string(keras_to_onnx.convert(network(FUNCTIONALS)))
    axes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    classes = ["clips", tiny_models.N_CLASSES]
    assert axes == {"frames": ["clips", "frames", 4], "functionals": ["clips", 5], "probabilities": classes}
    assert not model.producer_name + model.producer_version + model.doc_string


EXPORT = """
import sys
from pathlib import Path
from ser.export import keras_to_onnx
from ser.models import trainer
sys.stdout.buffer.write(keras_to_onnx.convert(trainer.load(Path(sys.argv[1]))))
"""


@pytest.mark.slow
def test_conversion_is_deterministic(tmp_path: Path) -> None:
    """A new process and one that has converted other networks write the same bytes."""
    trainer.save(network(FUNCTIONALS, branch_inputs=ALL_BRANCHES), tmp_path)
    here = [keras_to_onnx.convert(trainer.load(tmp_path)) for _ in range(2)]
    command = [sys.executable, "-c", EXPORT, str(tmp_path)]
    there = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"}, capture_output=True, check=True)
    assert here == [there.stdout] * 2


def test_conversion_is_quiet(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing is logged or printed, and loggers and the environment are unchanged."""
    caplog.set_level(logging.DEBUG, logger="tf2onnx")
    before = dict(os.environ)
    keras_to_onnx.convert(network(architecture="lstm"))
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("tf2onnx").level == logging.DEBUG
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda layers, _: layers.GRU(4, return_sequences=True), "gru.* is a Loop; .*LSTM"),
        (lambda layers, ops: layers.Lambda(ops.erfinv), "No Op registered for Erfinv.*lambda"),
    ],
)
def test_unsupported_layers_are_rejected(make: Any, reason: str) -> None:
    """The error names the layer."""
    from keras import Input, Model, layers, ops

    inputs = Input((7, 6))
    model = Model(inputs, layers.Flatten()(make(layers, ops)(inputs)))
    with pytest.raises(UserError, match=reason):
        keras_to_onnx.convert(model)
