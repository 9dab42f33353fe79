"""Run exported networks with ONNX Runtime. Only this module imports onnxruntime."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ser.features.columns import Array
from ser.models.batching import LengthBuckets, group_by_length
from ser.utils.errors import UserError

BATCH_SIZE = 64
Network: TypeAlias = Callable[[Array, Array | None], Array]
"""Frames of shape (n_clips, n_frames, n_features) and functionals of shape (n_clips, n_functionals), or None, to
probabilities of shape (n_clips, n_classes)."""


def load(paths: Sequence[Path], *, buckets: LengthBuckets) -> Callable[[Sequence[Array], Array | None], Array]:
    """Load the networks of a model; their probabilities are averaged.

    Parameters
    ----------
    paths : sequence of Path
        ONNX files.
    buckets : LengthBuckets
        Lengths that clips are padded or truncated to.

    Returns
    -------
    callable
        Frames, a sequence of arrays of shape (n_frames, n_features), and functionals of shape
        (n_clips, n_functionals), or None, to probabilities of shape (n_clips, n_classes).

    Raises
    ------
    UserError
        If a file is not a network that ONNX Runtime can run.
    """
    networks = [open_network(path) for path in paths]

    def run(frames: Sequence[Array], functionals: Array | None) -> Array:
        return np.mean([_run(network, frames, functionals, buckets) for network in networks], axis=0)

    return run


def open_network(path: Path) -> Network:
    """Open an ONNX file.

    Raises
    ------
    UserError
        If the file is not a network that ONNX Runtime can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread: clips are too short to benefit from more, and results do not depend on the number of cores.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001, its errors have no common base class
        raise UserError(f"{path}: not a network that can be run ({type(error).__name__}); export it again.") from None
    names = [value.name for value in session.get_inputs()]
    return lambda frames, functionals: session.run(None, dict(zip(names, (frames, functionals), strict=False)))[0]


def _run(network: Network, frames: Sequence[Array], functionals: Array | None, buckets: LengthBuckets) -> Array:
    lengths = buckets.lengths(frames)
    batches = group_by_length(lengths, size=BATCH_SIZE)
    outputs = [
        network(
            buckets.stack((frames[clip] for clip in batch), length=int(lengths[batch[0]])),
            None if functionals is None else functionals[batch],
        )
        for batch in batches
    ]
    probabilities = np.empty((len(frames), outputs[0].shape[1]), dtype=np.float32)
    probabilities[np.concatenate(batches)] = np.concatenate(outputs)
    return probabilities
