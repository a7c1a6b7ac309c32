"""One seed for every generator."""

import hashlib
import random

import numpy as np


def derive(seed: int, *parts: object) -> int:
    """
    A 32-bit seed for one purpose, the same on every machine and in every process.

    ``derive(7, "epoch", 3, "image", 41)`` does not depend on which worker asks or when.
    """
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.blake2s(text.encode(), digest_size=4).digest())


def generator(seed: int, *parts: object) -> np.random.Generator:
    """A NumPy generator for one purpose."""
    return np.random.default_rng(derive(seed, *parts))


def seed_process(seed: int) -> None:
    """Seed the generators that libraries take when none is given (torch is seeded by its user)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
