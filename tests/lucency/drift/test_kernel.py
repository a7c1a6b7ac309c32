"""Maximum mean discrepancy: its definition, no bias, and limits that hold."""

import numpy as np
import pytest
from scipy.spatial import distance

from lucency.drift import kernel


def discrepancy(first: np.ndarray, second: np.ndarray, bandwidth: float) -> float:
    """As the module puts it together."""
    return kernel.discrepancy(
        kernel.mean_of_pairs(kernel.gaussian(first, first, bandwidth)),
        float(kernel.gaussian(first, second, bandwidth).mean()),
        kernel.mean_of_pairs(kernel.gaussian(second, second, bandwidth)),
    )


def test_kernel_is_its_definition() -> None:
    """Gaussian of the Euclidean distance as SciPy measures it."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(7, 16)), rng.normal(size=(9, 16))

    found = kernel.gaussian(first, second, 1.7)

    expected = np.exp(-distance.cdist(first, second, "sqeuclidean") / (2 * 1.7**2))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_bandwidth_is_the_median_distance() -> None:
    """Between all pairs, as SciPy lists them; films that are all the same have one of 1."""
    vectors = np.random.default_rng(1).normal(size=(30, 4))

    assert kernel.median_distance(vectors) == pytest.approx(np.median(distance.pdist(vectors)))
    assert kernel.median_distance(np.ones((5, 4))) == 1.0


def test_discrepancy_is_the_sum_over_pairs() -> None:
    """Equation 3 of the paper, pair by pair."""
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(5, 3)), rng.normal(1, 1, size=(4, 3))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / 2))

    within_first = sum(k(a, b) for i, a in enumerate(first) for j, b in enumerate(first) if i != j)
    within_second = sum(
        k(a, b) for i, a in enumerate(second) for j, b in enumerate(second) if i != j
    )
    across = sum(k(a, b) for a in first for b in second)
    expected = within_first / 20 + within_second / 12 - 2 * across / 20
    assert discrepancy(first, second, 1.0) == pytest.approx(expected, abs=1e-9)


def test_discrepancy_has_no_bias() -> None:
    """Over many pairs of samples of one law its mean is nought."""
    rng = np.random.default_rng(3)

    found = [
        discrepancy(rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), 2.0) for _ in range(400)
    ]

    assert abs(np.mean(found)) < 3 * np.std(found) / 20


def test_limits_hold_for_new_films() -> None:
    """Of new windows of the same law, about one in a thousand is over its limit: none or few."""
    rng = np.random.default_rng(4)
    reference = rng.normal(size=(250, 16))
    bandwidth = kernel.median_distance(reference)
    alike = kernel.gaussian(reference, reference, bandwidth)
    near = (alike.sum(axis=1) - 1) / 249
    within = kernel.mean_of_pairs(alike)
    limits = kernel.null_limits(alike, near, within, np.random.default_rng(5))

    found = [discrepancy(rng.normal(size=(100, 16)), reference, bandwidth) for _ in range(300)]

    assert set(limits) == set(kernel.WINDOWS)
    assert sum(value > limits[100] for value in found) <= 3
    assert limits[100] < 2 * max(found)  # a limit that nothing reaches would hold too
    assert discrepancy(rng.normal(0.3, 1, (100, 16)), reference, bandwidth) > limits[100]
