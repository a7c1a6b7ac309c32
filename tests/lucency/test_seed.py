"""One seed gives every purpose its own numbers, the same everywhere."""

import random
import subprocess
import sys

import numpy as np

from lucency import seed

CODE = "from lucency import seed; print(seed.derive(7, 'epoch', 3, 'image', 41))"


def test_seed_is_the_same_in_another_process() -> None:
    """Neither the process nor Python's salted hashes change a derived seed."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)

    assert int(done.stdout) == seed.derive(7, "epoch", 3, "image", 41)


def test_purposes_get_different_seeds() -> None:
    """A thousand purposes of two seeds share not one number, all of 32 bits."""
    seeds = [seed.derive(base, "image", index) for base in (0, 1) for index in range(500)]

    assert len(set(seeds)) == 1000
    assert all(0 <= number < 2**32 for number in seeds)


def test_generator_repeats_itself() -> None:
    """The same purpose draws the same numbers, another purpose draws others."""
    first = seed.generator(1, "split").random(5)

    np.testing.assert_array_equal(first, seed.generator(1, "split").random(5))
    assert not np.array_equal(first, seed.generator(1, "quota").random(5))


def test_process_seed_reaches_the_global_generators() -> None:
    """What libraries draw without a generator of their own repeats after the same seed."""
    drawn = []
    for _ in range(2):
        seed.seed_process(2**32 + 5)
        drawn.append((random.random(), np.random.random()))

    assert drawn[0] == drawn[1]
