"""Areas under the ROC and the precision-recall curve, with intervals by patient."""

from collections.abc import Sequence

import numpy as np

from lucency.evaluation import bootstrap
from lucency.evaluation.bootstrap import ROUNDS
from lucency.evaluation.intervals import UNKNOWN, Interval


def auroc(
    labels_n: np.ndarray,
    scores_n: np.ndarray,
    patients_n: np.ndarray,
    *,
    confidence: float = 0.95,
    rounds: int = ROUNDS,
    seed_number: int = 0,
) -> Interval:
    """
    Area under the ROC curve with a percentile bootstrap over patients.

    A draw without both classes is left out; a set without both has no area.
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
    rounds: int = ROUNDS,
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
    columns = list(zip(positives, scores_nk.T, strict=True))
    return bootstrap.interval(
        lambda weights_rn: _mean_area(weights_rn, labels_n, columns),
        patients_n,
        confidence=confidence,
        rounds=rounds,
        seed_number=seed_number,
    )


def auprc(
    labels_n: np.ndarray,
    scores_n: np.ndarray,
    patients_n: np.ndarray,
    *,
    confidence: float = 0.95,
    rounds: int = ROUNDS,
    seed_number: int = 0,
) -> Interval:
    """
    Area under the precision-recall curve as average precision, with the bootstrap of ``auroc``.

    Steps, not straight lines, between points: interpolation in this plane flatters (Davis and
    Goadrich, 2006, https://doi.org/10.1145/1143844.1143874). What chance gives is the share of
    positives.
    """
    if not (labels_n == 1).any():
        return UNKNOWN
    order = np.argsort(-scores_n, kind="stable")
    starts = _starts(scores_n[order])
    positive_n = (labels_n[order] == 1).astype(float)
    return bootstrap.interval(
        lambda weights_rn: _average_precision(weights_rn[:, order], positive_n, starts),
        patients_n,
        confidence=confidence,
        rounds=rounds,
        seed_number=seed_number,
    )


def _mean_area(
    weights_rn: np.ndarray, labels_n: np.ndarray, columns: Sequence[tuple[int, np.ndarray]]
) -> np.ndarray:
    areas = []
    for positive, scores_n in columns:
        order = np.argsort(scores_n, kind="stable")
        positive_n = (labels_n[order] == positive).astype(float)
        areas.append(_area(weights_rn[:, order], positive_n, _starts(scores_n[order])))
    return np.asarray(np.mean(areas, axis=0))


def _starts(sorted_n: np.ndarray) -> np.ndarray:
    """Where each run of equal scores begins."""
    return np.flatnonzero(np.r_[True, np.diff(sorted_n) != 0])


def _area(weights_rn: np.ndarray, positive_n: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Mann-Whitney statistic for each row of weights; films are sorted, ties start at starts."""
    positives_rt = np.add.reduceat(weights_rn * positive_n, starts, axis=1)
    negatives_rt = np.add.reduceat(weights_rn * (1 - positive_n), starts, axis=1)
    below_rt = np.cumsum(negatives_rt, axis=1) - negatives_rt / 2
    pairs_r = positives_rt.sum(axis=1) * negatives_rt.sum(axis=1)
    return _divided((positives_rt * below_rt).sum(axis=1), pairs_r)


def _average_precision(
    weights_rn: np.ndarray, positive_n: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    found_rt = np.add.reduceat(weights_rn * positive_n, starts, axis=1)
    called_rt = np.cumsum(np.add.reduceat(weights_rn, starts, axis=1), axis=1)
    # Where nobody was called yet, nobody was found either: that step weighs nothing.
    precision_rt = np.cumsum(found_rt, axis=1) / np.maximum(called_rt, 1e-300)
    return _divided((found_rt * precision_rt).sum(axis=1), found_rt.sum(axis=1))


def _divided(numerators_r: np.ndarray, denominators_r: np.ndarray) -> np.ndarray:
    values_r: np.ndarray = np.full_like(numerators_r, np.nan)
    np.divide(numerators_r, denominators_r, out=values_r, where=denominators_r > 0)
    return values_r
