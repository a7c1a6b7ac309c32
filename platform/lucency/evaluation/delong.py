"""Exact variance of the area under the ROC curve, and a test between two models on one set."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.stats import rankdata

from lucency.errors import DataError
from lucency.evaluation.intervals import Interval


@dataclass(frozen=True)
class Difference:
    """
    How much larger the first model's figure is than the second's, on the same films.

    Attributes:
        p_value: Two-sided, of the hypothesis that there is no difference.
    """

    interval: Interval
    p_value: float


@dataclass(frozen=True)
class _Components:
    """
    What each film adds to the area: a positive its share of negatives below it, and the reverse.

    Attributes:
        positives_k: By patient, the sum over positives of component less area.
        negatives_k: The same over negatives.
    """

    area: float
    positives_k: np.ndarray
    negatives_k: np.ndarray
    positives: int
    negatives: int
    patients_with: tuple[int, int]


def auroc(
    labels_n: np.ndarray, scores_n: np.ndarray, patients_n: np.ndarray, confidence: float = 0.95
) -> Interval:
    """
    Area under the ROC curve with the interval of DeLong, DeLong and Clarke-Pearson, 1988,
    https://doi.org/10.2307/2531595, for clustered films by Obuchowski, 1997,
    https://doi.org/10.2307/2533958; on the logit scale, so that no bound leaves 0..1.

    Raises:
        DataError: a class is missing, or has fewer than two patients.
    """
    found = _components(labels_n, scores_n, patients_n)
    deviation = math.sqrt(_variance(found))
    if found.area in (0.0, 1.0) or deviation == 0.0:
        return Interval(found.area, found.area, found.area)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = math.log(found.area / (1 - found.area))
    half = z * deviation / (found.area * (1 - found.area))
    lower, upper = (1 / (1 + math.exp(-(middle + sign * half))) for sign in (-1, 1))
    return Interval(found.area, lower, upper)


def compare(
    labels_n: np.ndarray,
    scores_n: np.ndarray,
    other_n: np.ndarray,
    patients_n: np.ndarray,
    confidence: float = 0.95,
) -> Difference:
    """
    The area under the ROC curve of one model less another's, on the same films.

    The two are correlated, as both find the same films hard; the variance of the difference
    counts that in, which two separate intervals do not.

    Raises:
        DataError: a class is missing, or has fewer than two patients.
    """
    first = _components(labels_n, scores_n, patients_n)
    second = _components(labels_n, other_n, patients_n)
    apart = _Components(
        area=first.area - second.area,
        positives_k=first.positives_k - second.positives_k,
        negatives_k=first.negatives_k - second.negatives_k,
        positives=first.positives,
        negatives=first.negatives,
        patients_with=first.patients_with,
    )
    deviation = math.sqrt(_variance(apart))
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    bounds = Interval(apart.area, apart.area - z * deviation, apart.area + z * deviation)
    if deviation == 0.0:
        return Difference(bounds, 1.0 if apart.area == 0.0 else 0.0)
    return Difference(bounds, 2 * NormalDist().cdf(-abs(apart.area) / deviation))


def _components(labels_n: np.ndarray, scores_n: np.ndarray, patients_n: np.ndarray) -> _Components:
    positive = labels_n == 1
    _, patient_n = np.unique(patients_n, return_inverse=True)
    count = int(patient_n.max()) + 1 if patient_n.size else 0
    present = tuple(len(np.unique(patient_n[chosen])) for chosen in (positive, ~positive))
    if min(present) < 2:
        raise DataError(
            f"an area's variance needs two patients of each class, here are {present[0]} with "
            f"positive and {present[1]} with negative films"
        )
    # By midranks in n log n, as Sun and Xu, 2014, https://doi.org/10.1109/LSP.2014.2337313.
    among_all = rankdata(scores_n)
    found, rejected = int(positive.sum()), int((~positive).sum())
    below_p = (among_all[positive] - rankdata(scores_n[positive])) / rejected
    above_n = 1 - (among_all[~positive] - rankdata(scores_n[~positive])) / found
    area = float(below_p.mean())
    return _Components(
        area=area,
        positives_k=np.bincount(patient_n[positive], below_p - area, count),
        negatives_k=np.bincount(patient_n[~positive], above_n - area, count),
        positives=found,
        negatives=rejected,
        patients_with=(present[0], present[1]),
    )


def _variance(found: _Components) -> float:
    """Obuchowski's estimator; with one film a patient it is DeLong's."""
    with_positives, with_negatives = found.patients_with
    patients = found.positives_k.size
    of_positives = with_positives / (with_positives - 1) * float((found.positives_k**2).sum())
    of_negatives = with_negatives / (with_negatives - 1) * float((found.negatives_k**2).sum())
    of_both = patients / (patients - 1) * float((found.positives_k * found.negatives_k).sum())
    variance = (
        of_positives / found.positives**2
        + of_negatives / found.negatives**2
        + 2 * of_both / (found.positives * found.negatives)
    )
    return max(0.0, variance)
