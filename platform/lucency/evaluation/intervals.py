"""Confidence intervals by patient: films of one child are not independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lucency import seed


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided confidence interval; NaN where nothing was to be counted."""

    value: float
    lower: float
    upper: float


# Bootstrap weights held at once: 8 bytes each.
_WEIGHTS = 4_000_000
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
    effective = _effective_size(hits_k, films_k, share)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    center = (share + z * z / (2 * effective)) / (1 + z * z / effective)
    half = (
        z
        / (1 + z * z / effective)
        * math.sqrt(share * (1 - share) / effective + z * z / (4 * effective**2))
    )
    # Wilson's bounds enclose the share; their last digit, rounded, does not always.
    lower, upper = min(share, center - half), max(share, center + half)
    return Interval(share, max(0.0, lower), min(1.0, upper))


def _effective_size(hits_k: np.ndarray, films_k: np.ndarray, share: float) -> float:
    n = float(films_k.sum())
    patients = films_k.size
    if share in (0.0, 1.0) or patients == 1:
        return n * n / float((films_k**2).sum())
    between = patients / (patients - 1) * float(((hits_k - share * films_k) ** 2).sum()) / n**2
    # Both variances unbiased, so that one film a patient gives a design effect of exactly 1.
    design_effect = between / (share * (1 - share) / (n - 1))
    return n / max(design_effect, 1.0)


def auroc(
    labels_n: np.ndarray,
    scores_n: np.ndarray,
    patients_n: np.ndarray,
    *,
    confidence: float = 0.95,
    rounds: int = 2000,
    seed_number: int = 0,
) -> Interval:
    """
    Area under the ROC curve with a percentile bootstrap over patients.

    Patients are drawn with replacement and all their films with them (Field and Welsh, 2007);
    a draw without both classes is left out.
    """
    return mean_auroc(
        (labels_n == 1).astype(np.int64),
        scores_n[:, None],
        patients_n,
        positives=(1,),
        confidence=confidence,
        rounds=rounds,
        seed_number=seed_number,
    )


def mean_auroc(
    labels_n: np.ndarray,
    scores_nk: np.ndarray,
    patients_n: np.ndarray,
    *,
    positives: Sequence[int],
    confidence: float = 0.95,
    rounds: int = 2000,
    seed_number: int = 0,
) -> Interval:
    """
    As ``auroc``: the mean of the areas of several classes, each against all others.

    A draw without one of the classes is left out; a set without one has no such mean.

    Args:
        positives: The class that each column of scores is for.
    """
    present = np.unique(labels_n)
    if len(present) < 2 or not set(positives) <= set(present.tolist()):
        return UNKNOWN
    _, patient_n = np.unique(patients_n, return_inverse=True)
    patients = int(patient_n.max()) + 1
    generator = seed.generator(seed_number, "auroc bootstrap")
    shares = np.full(patients, 1 / patients)
    columns = list(zip(positives, scores_nk.T, strict=True))
    values_r = np.concatenate(
        [
            # Rounds in parts: all weights at once would be gigabytes for a large test split.
            _mean_area(
                generator.multinomial(patients, shares, size=part.size)[:, patient_n].astype(float),
                labels_n,
                columns,
            )
            for part in np.array_split(
                np.arange(rounds), max(1, rounds * labels_n.size // _WEIGHTS)
            )
        ]
    )
    value = _mean_area(np.ones((1, labels_n.size)), labels_n, columns)[0]
    if np.isnan(values_r).all():
        return Interval(float(value), math.nan, math.nan)
    tail = (1 - confidence) / 2
    lower, upper = np.nanquantile(values_r, [tail, 1 - tail])
    return Interval(float(value), float(lower), float(upper))


def _mean_area(
    weights_rn: np.ndarray, labels_n: np.ndarray, columns: Sequence[tuple[int, np.ndarray]]
) -> np.ndarray:
    areas = []
    for positive, scores_n in columns:
        order = np.argsort(scores_n, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(scores_n[order]) > 0])
        positive_n = (labels_n[order] == positive).astype(float)
        areas.append(_weighted_auroc(weights_rn[:, order], positive_n, starts))
    return np.asarray(np.mean(areas, axis=0))


def _weighted_auroc(
    weights_rn: np.ndarray, positive_n: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Mann-Whitney statistic for each row of weights; films are sorted, ties start at starts."""
    positives_rt = np.add.reduceat(weights_rn * positive_n, starts, axis=1)
    negatives_rt = np.add.reduceat(weights_rn * (1 - positive_n), starts, axis=1)
    below_rt = np.cumsum(negatives_rt, axis=1) - negatives_rt / 2
    pairs_r = positives_rt.sum(axis=1) * negatives_rt.sum(axis=1)
    wins_r = (positives_rt * below_rt).sum(axis=1)
    areas_r: np.ndarray = np.full_like(wins_r, np.nan)
    np.divide(wins_r, pairs_r, out=areas_r, where=pairs_r > 0)
    return areas_r
