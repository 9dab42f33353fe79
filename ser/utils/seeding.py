"""One seed in, an independent and repeatable source of randomness for every purpose out."""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str) -> int:
    """Derive a 32-bit seed that depends on nothing but the arguments.

    Parameters
    ----------
    seed
        The run's seed.
    purpose
        What the randomness is for, from general to particular,
        such as ``("augment", clip_id, "noise", "1")``.

    Returns
    -------
    int
        In [0, 2**32). Python's own ``hash`` would change from process to process.
    """
    text = "\x1f".join([str(seed), *purpose])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def make_rng(seed: int, *purpose: str) -> np.random.Generator:
    """Make a NumPy generator for one purpose; the same arguments give the same stream."""
    return np.random.default_rng(derive_seed(seed, *purpose))
