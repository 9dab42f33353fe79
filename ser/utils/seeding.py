"""Derive independent, reproducible random generators from one seed."""

import hashlib

import numpy as np


def derive_seed(seed: int, *keys: str) -> int:
    """Derive a 32-bit seed for a purpose from the seed of a run.

    Parameters
    ----------
    seed : int
        Seed of the run.
    *keys : str
        Purpose, from general to specific, such as ``"augment", clip_id, "noise", "1"``.

    Returns
    -------
    int
        In [0, 2**32). Unlike ``hash`` it is the same in each process.
    """
    text = "\x1f".join([str(seed), *keys])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def make_rng(seed: int, *keys: str) -> np.random.Generator:
    """Make a NumPy generator for a purpose; equal arguments give equal streams."""
    return np.random.default_rng(derive_seed(seed, *keys))
