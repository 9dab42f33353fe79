"""A Keras network as an ONNX graph, layer by layer. The only door to onnx.

Layers are read from a loaded model by what they say of themselves, so that nothing here imports Keras. A layer, or a
setting of one, that is not known here is an error: a graph that computes something else would be worse than none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ser.errors import InputError

OPSET, IR_VERSION = 17, 8
"""Versions of ONNX that runtimes since 2022 read."""
INPUTS, OUTPUT = {"frames": ["clips", "frames"], "functionals": ["clips"]}, "probabilities"
"""Names of what goes in, with the axes before the values, and of what comes out; a graph has the first, or both."""

Array = npt.NDArray[np.floating[Any]]


@dataclass
class Graph:
    """A graph in the making: names of nodes and values are numbers in the order in which they come."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, values: npt.ArrayLike, *, kind: type = np.float32) -> str:
        """Add an array, float32 unless said otherwise, and name it."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=kind), name))
        return name

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add an operator, and name the last of its outputs; others are not computed."""
        from onnx import helper

        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [*[""] * (outputs - 1), name], **attributes))
        return name


Convert = Callable[[Graph, Any, Mapping[str, Any], Sequence[str]], str]
"""From the graph, a layer, its settings and the names of its inputs to the name of its output."""


def convert(model: Any) -> bytes:
    """Turn a Keras model into the bytes of an ONNX file, the same every time.

    Parameters
    ----------
    model
        Frames (batch, frames, features), or these and functionals (batch, values) -> (batch, classes).

    Returns
    -------
    bytes
        A graph from `INPUTS`, or the first of them, to `OUTPUT`, for any number of clips and frames.

    Raises
    ------
    InputError
        If a layer, or a setting of it, is not known here.
    """
    from onnx import helper

    graph, names = Graph(), {id(tensor): name for tensor, name in zip(model.inputs, INPUTS, strict=False)}
    for layer in model.layers:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        kind = type(layer).__name__
        if kind != "InputLayer":
            names[id(layer.output)] = _known(kind, layer)(
                graph, layer, layer.get_config(), [names[id(tensor)] for tensor in inputs]
            )
    graph.nodes.append(helper.make_node("Identity", [names[id(model.outputs[0])]], [OUTPUT]))
    widths = [int(tensor.shape[-1]) for tensor in model.inputs]
    return _bytes(graph, widths=widths, n_classes=int(model.outputs[0].shape[-1]))


def _bytes(graph: Graph, *, widths: Sequence[int], n_classes: int) -> bytes:
    from onnx import TensorProto, checker, helper

    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [*axes, width])
        for (name, axes), width in zip(INPUTS.items(), widths, strict=False)
    ]
    shares = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["clips", n_classes])
    made = helper.make_model(
        helper.make_graph(graph.nodes, "network", inputs, [shares], initializer=graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(made, full_check=True)
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def _known(kind: str, layer: Any) -> Convert:
    if kind not in LAYERS:
        raise InputError(
            f"the network's layer {layer.name} is a {kind}, which cannot be exported to ONNX; known are "
            f"{', '.join(sorted(LAYERS))}. Add it to LAYERS in ser/onnx_network.py."
        )
    return LAYERS[kind]


def _expect(layer: Any, settings: Mapping[str, Any], /, **expected: Any) -> None:
    """Refuse settings under which a layer computes something else than is written here."""
    for key, value in expected.items():
        if settings.get(key, value) != value:
            raise InputError(
                f"the network's layer {layer.name} has {key}={settings[key]!r}, which cannot be exported to ONNX; "
                f"expected {value!r}. Change it, or extend ser/onnx_network.py."
            )


def _weights(layer: Any) -> list[Array]:
    return [np.asarray(values) for values in layer.get_weights()]


def _axis(settings: Mapping[str, Any]) -> int:
    """Read the one axis of a layer; Keras keeps it as a number or a list."""
    axis = settings["axis"]
    return int(axis[0] if isinstance(axis, list | tuple) else axis)


def _last_axis(layer: Any, settings: Mapping[str, Any]) -> None:
    _expect(layer, {"axis": _axis(settings) % len(layer.output.shape)}, axis=len(layer.output.shape) - 1)


# Layers ---------------------------------------------------------------------------------------------------------------


def _nothing(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    return inputs[0]


def _normalization(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    _last_axis(layer, settings)
    _expect(layer, settings, invert=False)
    mean, variance = (np.asarray(values, dtype=np.float32).ravel() for values in (layer.mean, layer.variance))
    scale = np.maximum(np.sqrt(variance), np.float32(1e-7))  # Keras's smallest
    centred = graph.add("Sub", inputs[0], graph.constant(mean))
    return graph.add("Div", centred, graph.constant(scale))


def _batch_normalization(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    _last_axis(layer, settings)
    weights = _weights(layer)
    mean, variance = weights[-2:]
    scale = 1 / np.sqrt(variance + settings["epsilon"])
    scale = scale * weights[0] if settings["scale"] else scale
    shift = (weights[1 if settings["scale"] else 0] if settings["center"] else 0) - mean * scale
    return graph.add("Add", graph.add("Mul", inputs[0], graph.constant(scale)), graph.constant(shift))


def _layer_normalization(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    _last_axis(layer, settings)
    _expect(layer, settings, rms_scaling=False)
    weights, width = _weights(layer), layer.output.shape[-1]
    scale = weights[0] if settings["scale"] else np.ones(width)
    shift = weights[-1] if settings["center"] else np.zeros(width)
    places = [graph.constant(scale), graph.constant(shift)]
    return graph.add("LayerNormalization", inputs[0], *places, axis=-1, epsilon=settings["epsilon"])


def _convolution(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Convolve over all axes between the first and the last; ONNX has channels second."""
    _expect(layer, settings, data_format="channels_last", groups=1)
    kernel, *bias = _weights(layer)
    weights = [kernel.transpose(-1, -2, *range(kernel.ndim - 2)), *bias]
    found = graph.add(
        "Conv",
        _channels_second(graph, inputs[0], kernel.ndim),
        *(graph.constant(values) for values in weights),
        auto_pad=_padding(layer, settings),
        strides=list(settings["strides"]),
        dilations=list(settings["dilation_rate"]),
    )
    return _activated(graph, layer, settings["activation"], _channels_last(graph, found, kernel.ndim))


def _pooling(operator: str) -> Convert:
    def pool(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
        _expect(layer, settings, data_format="channels_last")
        rank = len(layer.output.shape)
        found = graph.add(
            operator,
            _channels_second(graph, inputs[0], rank),
            auto_pad=_padding(layer, settings),
            kernel_shape=list(settings["pool_size"]),
            strides=list(settings["strides"]),
        )
        return _channels_last(graph, found, rank)

    return pool


def _channels_second(graph: Graph, value: str, rank: int) -> str:
    return graph.add("Transpose", value, perm=[0, rank - 1, *range(1, rank - 1)])


def _channels_last(graph: Graph, value: str, rank: int) -> str:
    return graph.add("Transpose", value, perm=[0, *range(2, rank), 1])


def _padding(layer: Any, settings: Mapping[str, Any]) -> str:
    known = {"same": "SAME_UPPER", "valid": "VALID"}
    _expect(layer, {"padding": settings["padding"] in known}, padding=True)
    return known[settings["padding"]]


ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "elu": "Elu", "softplus": "Softplus"}


def _activated(graph: Graph, layer: Any, activation: Any, value: str) -> str:
    if activation == "linear":
        return value
    if activation == "softmax":
        return graph.add("Softmax", value, axis=-1)
    if activation in ("silu", "swish"):
        return graph.add("Mul", value, graph.add("Sigmoid", value))
    if activation == "hard_tanh":
        return graph.add("Clip", value, graph.constant(-1), graph.constant(1))
    if activation not in ACTIVATIONS:
        known = ", ".join(["linear", "softmax", "silu", "hard_tanh", *ACTIVATIONS])
        raise InputError(
            f"the network's layer {layer.name} has the activation {activation!r}, which cannot be exported to ONNX; "
            f"known are {known}. Change it, or extend ser/onnx_network.py."
        )
    return graph.add(ACTIVATIONS[activation], value)


def _activation(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    return _activated(graph, layer, settings["activation"], inputs[0])


def _relu(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    _expect(layer, settings, max_value=None, negative_slope=0.0, threshold=0.0)
    return graph.add("Relu", inputs[0])


def _rescaling(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    scaled = graph.add("Mul", inputs[0], graph.constant(settings["scale"]))
    return graph.add("Add", scaled, graph.constant(settings["offset"]))


def _dense(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    kernel, *bias = _weights(layer)
    found = graph.add("MatMul", inputs[0], graph.constant(kernel))
    for values in bias:
        found = graph.add("Add", found, graph.constant(values))
    return _activated(graph, layer, settings["activation"], found)


def _softmax(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    return graph.add("Softmax", inputs[0], axis=_axis(settings))


def _dot(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Sum over time: (clips, frames, a) and (clips, frames, b) -> (clips, a, b)."""
    _expect(layer, settings, axes=1, normalize=False)
    return graph.add("MatMul", graph.add("Transpose", inputs[0], perm=[0, 2, 1]), inputs[1])


def _flatten(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    return graph.add("Flatten", inputs[0], axis=1)


def _cropping(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """Leave out the first and the last rows, and columns, of some."""
    _expect(layer, settings, data_format="channels_last")
    first, last = zip(*settings["cropping"], strict=True)
    ends, axes = [-edge or np.iinfo(np.int64).max for edge in last], range(1, len(last) + 1)
    return graph.add("Slice", inputs[0], *(graph.constant(edges, kind=np.int64) for edges in (first, ends, axes)))


def _reshape(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    shape = [-1 if size is None else size for size in settings["target_shape"]]
    return graph.add("Reshape", inputs[0], graph.constant([0, *shape], kind=np.int64))


def _joined(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    return graph.add("Concat", *inputs, axis=_axis(settings))


def _averaged(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    return graph.add("Mean", *inputs)


def _folded(operator: str) -> Convert:
    def fold(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
        found, *rest = inputs
        for value in rest:
            found = graph.add(operator, found, value)
        return found

    return fold


def _over_time(operator: str) -> Convert:
    def reduce(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
        _expect(layer, settings, data_format="channels_last")
        return graph.add(operator, inputs[0], axes=[1], keepdims=int(settings["keepdims"]))

    return reduce


# Recurrent layers -----------------------------------------------------------------------------------------------------


def _lstm(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    return _recurrent(graph, [layer], inputs[0], direction="reverse" if settings["go_backwards"] else "forward")


def _bidirectional(graph: Graph, layer: Any, settings: Mapping[str, Any], inputs: Sequence[str]) -> str:
    _expect(layer, settings, merge_mode="concat")
    _expect(layer, {"layer": settings["layer"]["class_name"]}, layer="LSTM")
    return _recurrent(graph, [layer.forward_layer, layer.backward_layer], inputs[0], direction="bidirectional")


def _recurrent(graph: Graph, layers: Sequence[Any], value: str, *, direction: str) -> str:
    """Run one or two directions: (clips, frames, features) -> (clips, frames, units), or the last (clips, units)."""
    settings = layers[0].get_config()
    plain = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "stateful": False}
    for layer in layers:
        _expect(layer, layer.get_config(), **plain)
    if direction == "reverse":  # whose order of frames differs, once they are returned
        _expect(layers[0], settings, return_sequences=False)
    width = settings["units"] * len(layers)
    frames_first = graph.add("Transpose", value, perm=[1, 0, 2])
    whole = settings["return_sequences"]
    found = graph.add(
        "LSTM",
        frames_first,
        *(graph.constant(np.stack(values)) for values in zip(*map(_gates, layers), strict=True)),
        outputs=1 if whole else 2,
        hidden_size=settings["units"],
        direction=direction,
    )
    # (frames, directions, clips, units), or (directions, clips, units) of the last.
    turned = graph.add("Transpose", found, perm=[2, 0, 1, 3] if whole else [1, 0, 2])
    return graph.add("Reshape", turned, graph.constant([0, 0, width] if whole else [0, width], kind=np.int64))


def _gates(layer: Any) -> tuple[Array, Array, Array]:
    """Put the gates, which Keras has as input, forget, cell, output, into ONNX's order: input, output, forget, cell."""
    kernel, recurrent, bias = _weights(layer)
    units = len(recurrent)
    order = np.concatenate([np.arange(units) + gate * units for gate in (0, 3, 1, 2)])
    return kernel[:, order].T, recurrent[:, order].T, np.concatenate([bias[order], np.zeros_like(bias)])


LAYERS: Mapping[str, Convert] = {
    "Activation": _activation,
    "Add": _folded("Add"),
    "Average": _averaged,
    "AveragePooling1D": _pooling("AveragePool"),
    "BatchNormalization": _batch_normalization,
    "Bidirectional": _bidirectional,
    "Concatenate": _joined,
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Cropping2D": _cropping,
    "Dense": _dense,
    "Dot": _dot,
    "Dropout": _nothing,
    "Flatten": _flatten,
    "GlobalAveragePooling1D": _over_time("ReduceMean"),
    "GlobalMaxPooling1D": _over_time("ReduceMax"),
    "GaussianNoise": _nothing,
    "LSTM": _lstm,
    "LayerNormalization": _layer_normalization,
    "MaxPooling1D": _pooling("MaxPool"),
    "MaxPooling2D": _pooling("MaxPool"),
    "Multiply": _folded("Mul"),
    "Normalization": _normalization,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "SpatialDropout1D": _nothing,
    "SpatialDropout2D": _nothing,
    "Subtract": _folded("Sub"),
}
"""Kind of layer -> how it is written in ONNX; dropout does nothing once a network is trained."""
