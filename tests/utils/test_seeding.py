"""Random numbers depend only on the seed of the run and the purpose, with golden values."""

from itertools import product

import numpy as np
import pytest

from ser.utils.seeding import derive_seed, make_rng


@pytest.mark.parametrize(
    ("seed", "keys", "expected"),
    [
        (1, (), 1803989619),
        (1, ("augment", "ravdess/a", "noise", "1"), 0x0CDCBB66),
        (2, ("augment", "ravdess/a", "noise", "1"), 3399479699),
        (2**40, ("früh",), 2559983222),
    ],
)
def test_golden_seeds(seed: int, keys: tuple[str, ...], expected: int) -> None:
    """A seed consists of the first four bytes of a SHA-256, which no version of a library changes."""
    assert derive_seed(seed, *keys) == expected


def test_seeds_are_distinct() -> None:
    """Other seeds, other keys, or the same letters split differently give other seeds."""
    purposes = [("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab"), ("abc", ""), ()]
    seeds = [derive_seed(seed, *keys) for seed, keys in product((1, 2, 11), purposes)] + [derive_seed(1, "1")]
    assert len(set(seeds)) == len(seeds)


def test_generators_are_independent() -> None:
    """Equal arguments give equal streams, others give others; NumPy's global state is not used."""
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    first = make_rng(1, "a").random(5)
    np.testing.assert_array_equal(make_rng(1, "a").random(5), first)
    assert not np.isin(make_rng(1, "b").random(5), first).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)
