"""Randomness depends on the run's seed and its purpose, today and on any machine as on record here."""

import os
import subprocess
import sys
from itertools import product

import numpy as np
import pytest

from ser.utils.seeding import derive_seed, make_rng
from tests.helpers.factories import ROOT


@pytest.mark.parametrize(
    ("seed", "purpose", "value"),
    [
        (1, (), 1803989619),
        (1, ("augment", "ravdess/a", "noise", "1"), 0x0CDCBB66),
        (2, ("augment", "ravdess/a", "noise", "1"), 3399479699),
        (2**40, ("früh",), 2559983222),
    ],
)
def test_seeds_are_those_on_record(seed: int, purpose: tuple[str, ...], value: int) -> None:
    """A seed is the first four bytes of a SHA-256, which changes with no version of anything."""
    assert derive_seed(seed, *purpose) == value


def test_every_purpose_has_a_seed_of_its_own() -> None:
    """Another run, another purpose, or the same letters divided otherwise are other seeds, of 32 bits."""
    purposes = [("ab", "c"), ("a", "bc"), ("abc",), ("c", "ab"), ("abc", ""), ()]
    seeds = [derive_seed(seed, *purpose) for seed, purpose in product((1, 2, 11), purposes)]
    seeds += [derive_seed(1, "1"), derive_seed(11)]
    assert len(set(seeds)) == len(seeds) - 1  # 11 without a purpose is there twice
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_seeds_fill_their_range_evenly() -> None:
    """Seeds of many copies lie anywhere in 32 bits, as chance would have it."""
    counts, _ = np.histogram([derive_seed(1, str(n)) for n in range(4000)], bins=8, range=(0, 2**32))
    assert counts.min() > 400
    assert counts.max() < 600


def test_a_generator_begins_anew_each_time() -> None:
    """The same arguments give the same stream, whatever was drawn before; others give another."""
    first = make_rng(1, "a").random(5)
    np.testing.assert_array_equal(make_rng(1, "a").random(5), first)
    assert not np.isin(make_rng(1, "b").random(5), first).any()
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    make_rng(1, "a").random()
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_seeds_do_not_depend_on_the_process() -> None:
    """Python's hashes change with PYTHONHASHSEED, seeds do not."""
    code = "from ser.utils.seeding import derive_seed, make_rng\n"
    code += "print(derive_seed(1, 'a'), make_rng(1, 'a').random(), hash('a'))"
    said = []
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        said.append(done.stdout.split())
    assert said[0][:2] == said[1][:2] == [str(derive_seed(1, "a")), str(make_rng(1, "a").random())]
    assert said[0][2] != said[1][2]
