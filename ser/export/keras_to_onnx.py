"""Convert a Keras network to ONNX with tf2onnx. Only this module imports onnx and tf2onnx."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ser.utils.errors import UserError

OPSET, IR_VERSION = 17, 8
"""Versions of ONNX that runtimes since 2022 read."""
INPUTS, OUTPUT = {"frames": ["clips", "frames"], "functionals": ["clips"]}, "probabilities"
"""Names of the inputs, each with its free axes, and of the output; a graph has the first input or both."""


def convert(model: Any) -> bytes:
    """Convert a Keras model to the bytes of an ONNX file, the same every time.

    Parameters
    ----------
    model : keras.Model
        Frames (batch, frames, features), or these and functionals (batch, values) -> (batch, classes).

    Returns
    -------
    bytes
        A graph from the first of `INPUTS`, or both, to `OUTPUT`, for any number of clips and frames.

    Raises
    ------
    UserError
        If a layer cannot be converted.
    """
    from onnx import TensorProto, helper

    nodes, constants = _in_order_of_need(_from_keras(model).graph)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [*axes, tensor.shape[-1]])
        for (name, axes), tensor in zip(INPUTS.items(), model.inputs, strict=False)
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["clips", model.outputs[0].shape[-1]])
    graph = helper.make_graph(nodes, "network", inputs, [output], initializer=constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def _from_keras(model: Any) -> Any:
    from onnx import checker

    with _quiet():
        import tensorflow as tf
        import tf2onnx.convert

        signature = [
            tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
            for name, tensor in zip(INPUTS, model.inputs, strict=False)
        ]
        try:
            converted, _ = tf2onnx.convert.from_keras(model, signature, opset=OPSET)
            checker.check_model(converted, full_check=True)  # tf2onnx keeps operations that it does not know
        except Exception as error:  # the libraries' errors share no other class
            reason = " ".join(str(error).split())
            raise UserError(
                f"the network cannot be exported to ONNX ({type(error).__name__}: {reason}); use layers that tf2onnx "
                "supports."
            ) from error
    for node in converted.graph.node:
        if any(attribute.HasField("g") for attribute in node.attribute):
            raise UserError(
                f"the network cannot be exported to ONNX: {node.name} is a {node.op_type}; of recurrent layers use "
                "LSTM, without masking."
            )
    return converted


def _in_order_of_need(graph: Any) -> tuple[list[Any], list[Any]]:
    """Sort and rename nodes and constants: tf2onnx numbers them through a process, and sorts by these names."""
    constants = {constant.name: constant for constant in graph.initializer}
    makers = {value: node for node in graph.node for value in node.output}
    names = {"": ""} | {value.name: value.name for value in graph.input} | {graph.output[0].name: OUTPUT}
    kept_nodes: list[Any] = []
    kept_constants: list[Any] = []

    def need(value: str) -> None:
        if value in constants:
            names[value] = constants[value].name = f"c{len(kept_constants)}"
            kept_constants.append(constants[value])
            return
        node = makers[value]
        for place, given in enumerate(node.input):
            if given not in names:
                need(given)
            node.input[place] = names[given]
        for place, made in enumerate(node.output):
            node.output[place] = names.setdefault(made, f"v{len(names)}")
        node.ClearField("name")
        kept_nodes.append(node)

    need(graph.output[0].name)
    return kept_nodes, kept_constants


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence tf2onnx, which logs each step, and undo that its import sets a variable of the environment."""
    logger, variable = logging.getLogger("tf2onnx"), "TF_CPP_MIN_LOG_LEVEL"
    level, value = logger.level, os.environ.get(variable)
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
        os.environ.pop(variable, None)
        if value is not None:
            os.environ[variable] = value
