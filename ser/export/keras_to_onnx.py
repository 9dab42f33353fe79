"""Convert a Keras network to ONNX with tf2onnx. Only this module imports onnx and tf2onnx."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ser.utils.errors import UserError

OPSET, IR_VERSION = 17, 8
"""Versions of ONNX that all runtimes since 2022 support."""
INPUTS, OUTPUT = {"frames": ["clips", "frames"], "functionals": ["clips"]}, "probabilities"
"""Names of the inputs, with their dynamic axes, and of the output; a graph has the first input or both."""


def convert(model: Any) -> bytes:
    """Convert a Keras model to the bytes of an ONNX file, deterministically.

    Parameters
    ----------
    model : keras.Model
        Maps frames of shape (n_clips, n_frames, n_features), or these and functionals of shape
        (n_clips, n_functionals), to probabilities of shape (n_clips, n_classes).

    Returns
    -------
    bytes
        A graph with the first of `INPUTS`, or both, and `OUTPUT`, for any number of clips and frames.

    Raises
    ------
    UserError
        If a layer cannot be converted.
    """
    from onnx import TensorProto, helper

    nodes, constants = _sort_and_rename(_from_keras(model).graph)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [*axes, tensor.shape[-1]])
        for (name, axes), tensor in zip(INPUTS.items(), model.inputs, strict=False)
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["clips", model.outputs[0].shape[-1]])
    graph = helper.make_graph(nodes, "network", inputs, [output], initializer=constants)
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = onnx_model.SerializeToString(deterministic=True)
    return content


def _from_keras(model: Any) -> Any:
    from onnx import checker

    with _suppress_logging():
        import tensorflow as tf
        import tf2onnx.convert

        signature = [
            tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
            for name, tensor in zip(INPUTS, model.inputs, strict=False)
        ]
        try:
            converted, _ = tf2onnx.convert.from_keras(model, signature, opset=OPSET)
            checker.check_model(converted, full_check=True)  # tf2onnx keeps unknown operations
        except Exception as error:  # the libraries' errors have no other common base class
            reason = " ".join(str(error).split())
            raise UserError(
                f"the network cannot be exported to ONNX ({type(error).__name__}: {reason}); use layers that tf2onnx "
                "supports."
            ) from error
    for node in converted.graph.node:
        if any(attribute.HasField("g") for attribute in node.attribute):
            raise UserError(
                f"the network cannot be exported to ONNX: {node.name} is a {node.op_type}; the only supported "
                "recurrent layer is LSTM, without masking."
            )
    return converted


def _sort_and_rename(graph: Any) -> tuple[list[Any], list[Any]]:
    """Sort nodes and constants by depth-first search, and rename them; tf2onnx's names depend on earlier calls."""
    constants = {constant.name: constant for constant in graph.initializer}
    producers = {value: node for node in graph.node for value in node.output}
    names = {"": ""} | {value.name: value.name for value in graph.input} | {graph.output[0].name: OUTPUT}
    sorted_nodes: list[Any] = []
    sorted_constants: list[Any] = []

    def visit(value: str) -> None:
        if value in constants:
            names[value] = constants[value].name = f"c{len(sorted_constants)}"
            sorted_constants.append(constants[value])
            return
        node = producers[value]
        for index, name in enumerate(node.input):
            if name not in names:
                visit(name)
            node.input[index] = names[name]
        for index, name in enumerate(node.output):
            node.output[index] = names.setdefault(name, f"v{len(names)}")
        node.ClearField("name")
        sorted_nodes.append(node)

    visit(graph.output[0].name)
    return sorted_nodes, sorted_constants


@contextmanager
def _suppress_logging() -> Iterator[None]:
    """Disable the log of tf2onnx, and restore the environment variable that its import sets."""
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
