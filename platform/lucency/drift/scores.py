"""How far a window of values is from the reference: two distances that services have long used."""

import math

import numpy as np

from lucency.drift.reference import FeatureReference

# A bin that was never filled would make the index infinite.
_LEAST_SHARE = 1e-3


def stability_index(reference: FeatureReference, counts_b: np.ndarray) -> float:
    """
    Population stability index of a window's counts against the reference; 0 is no change.

    Siddiqi, 2006: a symmetrised Kullback-Leibler divergence in nats. Without any drift its
    expectation is about (bins - 1) (1 / films + 1 / reference films).
    """
    expected = np.maximum(reference.shares, _LEAST_SHARE)
    found = np.maximum(counts_b / max(1, counts_b.sum()), _LEAST_SHARE)
    return float(((found - expected) * np.log(found / expected)).sum())


def ks_distance(ordered_m: np.ndarray, values_n: np.ndarray) -> float:
    """
    Two-sample Kolmogorov-Smirnov statistic: the widest gap of the two distribution functions.

    Args:
        ordered_m: Ascending.
    """
    window_n = np.sort(values_n)
    places = np.concatenate([ordered_m, window_n])
    ours = np.searchsorted(ordered_m, places, side="right") / len(ordered_m)
    theirs = np.searchsorted(window_n, places, side="right") / len(window_n)
    return float(np.abs(ours - theirs).max())


def ks_limit(reference: int, window: int, level: float = 0.001) -> float:
    """The distance that a share ``level`` of unchanged windows exceeds (Smirnov's limit law)."""
    scale = math.sqrt(-math.log(level / 2) / 2)
    return scale * math.sqrt((reference + window) / (reference * window))
