"""
What an epoch's predictions say about a trial, and how surely, by patient.

Every trial of a search is measured on the same validation patients. So the bootstrap draws the same
patients for all of them: two trials' replicates belong together in pairs, and the difference of two
trials is known far better than either figure. The threshold that keeps the specificity floor is
found anew in each draw: with few negatives it is the larger part of the uncertainty, and a bound at
a fixed threshold would be none (Platt, Hanley and Yang, 2000).
"""

from collections.abc import Iterator

import numpy as np

from lucency import seed
from lucency.evaluation import selection
from lucency.evaluation.intervals import UNKNOWN, Interval, wilson

ROUNDS = 400
# Weights held at once: 8 bytes each.
_WEIGHTS = 4_000_000


def headline(
    labels_n: np.ndarray,
    logits_nk: np.ndarray,
    patients_n: np.ndarray,
    replicates_r: np.ndarray,
    specificity_floor: float,
    confidence: float,
) -> tuple[str, Interval]:
    """
    The headline figure and its interval, made wide enough for the threshold's uncertainty.

    The hull of three: Wilson's by patient for the threshold found; Wilson's at the sample size that
    the replicates' variance amounts to, for the one that will be found elsewhere (after Zhou and
    Qin, 2005, https://doi.org/10.1002/sim.2563); and the replicates' quantiles, as the second is
    short above where nearly all films are found.
    """
    name, fixed = selection.headline(labels_n, logits_nk, patients_n, specificity_floor, confidence)
    if np.isnan(replicates_r).any():
        return name, UNKNOWN
    free = _varying(float(replicates_r.mean()), float(replicates_r.var()), confidence)
    drawn = np.quantile(replicates_r, [(1 - confidence) / 2, (1 + confidence) / 2])
    lower = min(fixed.lower, free.lower, float(drawn[0]))
    return name, Interval(fixed.value, lower, max(fixed.upper, free.upper, float(drawn[1])))


def _varying(share: float, variance: float, confidence: float) -> Interval:
    """Wilson's interval at the size of an independent sample that would vary as much."""
    if variance <= 0 or not 0 < share < 1:
        return Interval(share, share, share)
    return wilson(share, share * (1 - share) / variance, confidence)


def replicates(
    labels_n: np.ndarray,
    logits_nk: np.ndarray,
    patients_n: np.ndarray,
    specificity_floor: float,
    rounds: int = ROUNDS,
) -> np.ndarray:
    """
    The headline figure of ``rounds`` draws of patients, float64, r entries.

    Patients with a positive film and those without are drawn apart, with the smooth weights of the
    Bayesian bootstrap (Rubin, 1981): no draw is without negatives, however few they are. Equal
    patients give equal draws, so replicates of two trials may be subtracted one by one. Of two
    classes that are not both there, all are NaN.
    """
    parts = [
        _figure(weights_rn, labels_n, logits_nk, 1 - specificity_floor)
        for weights_rn in _weights(labels_n, patients_n, rounds)
    ]
    return np.concatenate(parts)


def _figure(
    weights_rn: np.ndarray, labels_n: np.ndarray, logits_nk: np.ndarray, allowed: float
) -> np.ndarray:
    if logits_nk.shape[1] > 1:
        right_n = logits_nk.argmax(axis=1) == labels_n
        return np.asarray(weights_rn @ right_n / weights_rn.sum(axis=1))
    positive_n = labels_n == 1
    if positive_n.all() or not positive_n.any():
        return np.full(len(weights_rn), np.nan)
    return _sensitivity(weights_rn, positive_n, logits_nk[:, 0], allowed)


def _weights(labels_n: np.ndarray, patients_n: np.ndarray, rounds: int) -> Iterator[np.ndarray]:
    """Weights r x n of the films, in parts: all at once would be gigabytes for a large split."""
    _, patient_n = np.unique(patients_n, return_inverse=True)
    positive_p = np.bincount(patient_n, weights=labels_n == 1) > 0
    generator = seed.generator(0, "search bounds")
    part = max(1, _WEIGHTS // patient_n.size)
    for first in range(0, rounds, part):
        drawn_rp = generator.standard_exponential((min(part, rounds - first), positive_p.size))
        for stratum in (positive_p, ~positive_p):
            if stratum.any():
                drawn_rp[:, stratum] /= drawn_rp[:, stratum].mean(axis=1, keepdims=True)
        yield drawn_rp[:, patient_n]


def _sensitivity(
    weights_rn: np.ndarray, positive_n: np.ndarray, scores_n: np.ndarray, allowed: float
) -> np.ndarray:
    """Sensitivity where the share ``allowed`` of negatives is called, between films by line."""
    order = np.argsort(-scores_n, kind="stable")
    # Films of equal score are called together.
    ends = np.flatnonzero(np.append(np.diff(scores_n[order]) != 0, True))
    sorted_rn, positive_n = weights_rn[:, order], positive_n[order]
    found = _climb(sorted_rn * positive_n, ends)
    called = _climb(sorted_rn * ~positive_n, ends)
    row = np.arange(len(weights_rn))
    after = np.minimum((called <= allowed).sum(axis=1), called.shape[1] - 1)
    low, high = called[row, after - 1], called[row, after]
    step = np.divide(allowed - low, high - low, out=np.zeros_like(low), where=high > low)
    return np.asarray(
        found[row, after - 1] + step.clip(0, 1) * (found[row, after] - found[row, after - 1])
    )


def _climb(weights_rn: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Cumulated share at the end of each group of equal scores, from 0 on."""
    sums = weights_rn.cumsum(axis=1)[:, ends]
    total = sums[:, -1:]
    return np.concatenate([np.zeros((len(sums), 1)), sums / total], axis=1)
