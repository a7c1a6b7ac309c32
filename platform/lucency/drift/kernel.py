"""
Maximum mean discrepancy: how far two sets of vectors are apart as a Gaussian kernel sees them.

Gretton et al., 2012, https://jmlr.org/papers/v13/gretton12a.html; the unbiased estimate (eq. 3),
with the median distance as bandwidth. Its null distribution is drawn once, when a reference is
fitted, so that a service only compares with a number.
"""

import numpy as np

# Films in a window for which limits are drawn; between them the limit is interpolated.
WINDOWS = (100, 150, 200, 256)
_DRAWS = 4000
_LEVEL = 0.999


def gaussian(first_nd: np.ndarray, second_md: np.ndarray, bandwidth: float) -> np.ndarray:
    """The kernel of each pair, n x m, in 0..1; 1 is the same."""
    products_nm = first_nd @ second_md.T
    lengths_nm = (first_nd**2).sum(-1)[..., None] + (second_md**2).sum(-1)
    squared_nm = np.maximum(0.0, lengths_nm - 2 * products_nm)
    alike_nm: np.ndarray = np.exp(-squared_nm / (2 * bandwidth**2))
    return alike_nm


def median_distance(vectors_nd: np.ndarray) -> float:
    """Between two of the vectors; 1 where at least half of the pairs are the same."""
    apart_nn = np.linalg.norm(vectors_nd[:, None] - vectors_nd, axis=-1)
    pairs = apart_nn[np.triu_indices(len(vectors_nd), 1)]
    return float(np.median(pairs)) if len(pairs) and np.median(pairs) > 0 else 1.0


def mean_of_pairs(alike_nn: np.ndarray) -> float:
    """Of a square kernel matrix without its diagonal."""
    films = len(alike_nn)
    return float((alike_nn.sum() - np.trace(alike_nn)) / max(1, films * (films - 1)))


def discrepancy(within_first: float, across: float, within_second: float) -> float:
    """Squared and unbiased, so that it may be below 0, from the three mean kernels."""
    return within_first - 2 * across + within_second


def null_limits(
    alike_nn: np.ndarray, near_n: np.ndarray, within: float, rng: np.random.Generator
) -> dict[int, float]:
    """
    What one window in a thousand exceeds though nothing changed, by films in the window.

    Windows are drawn with replacement; a pair of one film with itself says nothing and is left
    out, as it would be among new films.

    Args:
        near_n: Mean kernel of each film with the reference.
        within: Mean kernel between two films of the reference.
    """
    films = len(alike_nn)
    limits = {}
    for size in WINDOWS:
        times_bn = rng.multinomial(size, np.full(films, 1 / films), size=_DRAWS).astype(float)
        same_b = (times_bn**2).sum(axis=1)
        sums_b = ((times_bn @ alike_nn) * times_bn).sum(axis=1) - same_b
        pairs_b = np.maximum(1.0, size**2 - same_b)
        found_b = sums_b / pairs_b - 2 * (times_bn @ near_n) / size + within
        # A set of equal films leaves no spread at all; a ratio to the limit must stay finite.
        limits[size] = max(float(np.quantile(found_b, _LEVEL)), 1e-9)
    return limits
