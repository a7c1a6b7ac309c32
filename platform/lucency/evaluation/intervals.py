"""Confidence intervals by patient: films of one child are not independent."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval; NaN where nothing was to be counted."""

    value: float
    lower: float
    upper: float


UNKNOWN = Interval(math.nan, math.nan, math.nan)


def proportion(hits_n: np.ndarray, patients_n: np.ndarray, confidence: float = 0.95) -> Interval:
    """
    Share of hits with a Wilson interval at the effective sample size of clustered data.

    The variance between patients (ratio estimator) against that of independent films gives
    the design effect; Wilson's interval (1927) is taken at n over it, as in Saha, Miller and
    Wang, 2016, https://doi.org/10.1515/ijb-2015-0024. When all films agree the variance says
    nothing; then films of a patient count as fully dependent (Kish, 1965): a bootstrap would
    report a bound of exactly 1 there.

    Args:
        hits_n: bool, one entry a film.
        patients_n: the patient of each film.
    """
    n = int(hits_n.size)
    if n == 0:
        return UNKNOWN
    _, index = np.unique(patients_n, return_inverse=True)
    hits_k = np.bincount(index, weights=hits_n.astype(float))
    films_k = np.bincount(index).astype(float)
    share = float(hits_k.sum() / n)
    effective = effective_size(hits_k, films_k, share)
    return wilson(share, effective, confidence)


def wilson(share: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's interval (1927) of a share of ``n`` independent films, which need not be whole."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n**2))
    # The bounds enclose the share; their last digit, rounded, does not always.
    lower, upper = min(share, center - half), max(share, center + half)
    return Interval(share, max(0.0, lower), min(1.0, upper))


def effective_size(hits_k: np.ndarray, films_k: np.ndarray, share: float) -> float:
    """
    Independent films that say as much of a share as these do.

    Args:
        hits_k: Hits of each patient.
        films_k: Films of each patient.
    """
    n = float(films_k.sum())
    patients = films_k.size
    if share in (0.0, 1.0) or patients == 1:
        return n * n / float((films_k**2).sum())
    between = patients / (patients - 1) * float(((hits_k - share * films_k) ** 2).sum()) / n**2
    # Both variances unbiased, so that one film a patient gives a design effect of exactly 1.
    design_effect = between / (share * (1 - share) / (n - 1))
    return n / max(design_effect, 1.0)
