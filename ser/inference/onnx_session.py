"""Exported networks, run. The only door to onnxruntime."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ser.features.columns import Array
from ser.models.batching import LengthBuckets, group_by_length
from ser.utils.errors import UserError

AT_ONCE = 64
"""Clips of equal length that share a call."""


def load(paths: Sequence[Path], *, buckets: LengthBuckets) -> Callable[[Sequence[Array], Array | None], Array]:
    """Load the networks of one model.

    Parameters
    ----------
    paths
        ONNX files; of an ensemble, several.
    buckets
        Lengths that clips are brought to.

    Returns
    -------
    callable
        From the (n_frames, features) matrices of clips, and the (clips, values) functionals where networks see them
        too, to their (clips, classes) probabilities, the networks' mean.

    Raises
    ------
    InputError
        If a file is no network that can be run.
    """
    networks = [open_network(path) for path in paths]

    def run(frames: Sequence[Array], functionals: Array | None) -> Array:
        return np.mean([_run(network, frames, functionals, buckets) for network in networks], axis=0)

    return run


Network: TypeAlias = Callable[[Array, Array | None], Array]


def open_network(path: Path) -> Network:
    """Open an ONNX file: from (clips, frames, features), and (clips, values) or None, to (clips, classes).

    Raises
    ------
    InputError
        If it is no network that can be run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A clip is too small a piece of work to be shared, and sums do not depend on the cores this way.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001, its errors share no other class
        raise UserError(f"{path}: is no network that can be run ({type(error).__name__}); export it anew.") from None
    names = [value.name for value in session.get_inputs()]
    return lambda frames, functionals: session.run(None, dict(zip(names, (frames, functionals), strict=False)))[0]


def _run(network: Network, frames: Sequence[Array], functionals: Array | None, buckets: LengthBuckets) -> Array:
    lengths = buckets.lengths(frames)
    parts, order = [], []
    for batch in group_by_length(lengths, size=AT_ONCE):
        stacked = buckets.stack((frames[clip] for clip in batch), length=int(lengths[batch[0]]))
        parts.append(network(stacked, None if functionals is None else functionals[batch]))
        order.append(batch)
    found = np.empty((len(frames), parts[0].shape[1]), dtype=np.float32)
    found[np.concatenate(order)] = np.concatenate(parts)
    return found
