"""
The clinical rule: one sensitivity floor, judged by its lower confidence bound by patient, with
a specificity floor beside it. Checkpoint, threshold, gate and alarm all ask this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lucency.evaluation.intervals import Interval, proportion


class ClinicalRule(BaseModel):
    """
    What a model must hold.

    Attributes:
        sensitivity_floor: The lower bound of sensitivity must not be under it.
        specificity_floor: Specificity must not be under it.
        confidence: Of the two-sided intervals by patient.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensitivity_floor: Annotated[float, Field(gt=0, lt=1)] = 0.9
    specificity_floor: Annotated[float, Field(ge=0, lt=1)] = 0.7
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


@dataclass(frozen=True)
class Verdict:
    """Whether the rule holds, and one sentence with figures for each part of it."""

    passed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class OperatingPoint:
    """
    How films are decided and what that gives on the films it was chosen on.

    Of two classes a film is positive when its calibrated probability is at or over the threshold;
    of more, where the threshold is None, the most probable one is called, and the figures are
    those of the worst class against all others.
    """

    threshold: float | None
    sensitivity: Interval
    specificity: Interval
    verdict: Verdict


def judge(rule: ClinicalRule, sensitivity: Interval, specificity: Interval) -> Verdict:
    """Hold the figures against the floors."""
    sensitive = sensitivity.lower >= rule.sensitivity_floor
    specific = specificity.value >= rule.specificity_floor
    return Verdict(
        passed=sensitive and specific,
        reasons=(
            f"sensitivity {sensitivity.value:.4f}, lower {rule.confidence:.0%} bound by patient "
            f"{sensitivity.lower:.4f}, {_relation(sensitive)} the floor {rule.sensitivity_floor}",
            f"specificity {specificity.value:.4f}, {_relation(specific)} the floor "
            f"{rule.specificity_floor}",
        ),
    )


def at_threshold(
    labels_n: np.ndarray,
    scores_n: np.ndarray,
    patients_n: np.ndarray,
    threshold: float,
    confidence: float,
) -> tuple[Interval, Interval]:
    """Sensitivity and specificity of ``scores >= threshold``, with intervals by patient."""
    over = scores_n >= threshold
    positive = labels_n == 1
    return (
        proportion(over[positive], patients_n[positive], confidence),
        proportion(~over[~positive], patients_n[~positive], confidence),
    )


def operating_point(
    labels_n: np.ndarray, probabilities_nk: np.ndarray, patients_n: np.ndarray, rule: ClinicalRule
) -> OperatingPoint:
    """The decision for calibrated probabilities of all classes, on validation films only."""
    classes = probabilities_nk.shape[1]
    if classes == 2:
        return choose_threshold(labels_n, probabilities_nk[:, 1], patients_n, rule)
    called_n = called(probabilities_nk, None)
    sensitivity, specificity = of_called(labels_n, called_n, patients_n, classes, rule.confidence)
    return OperatingPoint(None, sensitivity, specificity, judge(rule, sensitivity, specificity))


def called(probabilities_nk: np.ndarray, threshold: float | None) -> np.ndarray:
    """The class that each film is called: by the threshold, or without one the most probable."""
    if threshold is None:
        return np.asarray(probabilities_nk.argmax(axis=1))
    return np.asarray(probabilities_nk[:, 1] >= threshold, dtype=np.int64)


def of_called(
    labels_n: np.ndarray,
    called_n: np.ndarray,
    patients_n: np.ndarray,
    classes: int,
    confidence: float,
) -> tuple[Interval, Interval]:
    """
    Sensitivity and specificity that the rule is held against, with intervals by patient.

    Of two classes those of the second; of more the sensitivity of the worst class, and the lowest
    specificity.
    """
    if classes == 2:
        return at_threshold(labels_n, called_n, patients_n, 0.5, confidence)
    worst, found = worst_class(labels_n, called_n, patients_n, classes, confidence)
    return found[worst][0], found[least_specific(found)][1]


def worst_class(
    labels_n: np.ndarray,
    called_n: np.ndarray,
    patients_n: np.ndarray,
    classes: int,
    confidence: float,
) -> tuple[int, list[tuple[Interval, Interval]]]:
    """
    The rule for more than two classes: each class against all others, and the worst one counts.

    Args:
        called_n: The class that was called for each film.

    Returns:
        The class whose lower bound of sensitivity is lowest, one without films before all others;
        and sensitivity and specificity of every class.
    """
    found = [
        at_threshold(
            (labels_n == label).astype(int), called_n == label, patients_n, 0.5, confidence
        )
        for label in range(classes)
    ]
    # What was never tested can't be passed over: unknown is under every floor.
    bounds = np.nan_to_num([sensitivity.lower for sensitivity, _ in found], nan=-1.0)
    return int(bounds.argmin()), found


def least_specific(found: Sequence[tuple[Interval, Interval]]) -> int:
    """The class whose specificity is lowest: the one that is called too often."""
    return int(np.nan_to_num([specificity.value for _, specificity in found], nan=-1.0).argmin())


def choose_threshold(
    labels_n: np.ndarray, scores_n: np.ndarray, patients_n: np.ndarray, rule: ClinicalRule
) -> OperatingPoint:
    """
    The threshold that keeps most distance from both floors, on validation films only.

    A margin is the share of the way from a floor to 1 that a lower bound has come; of all
    thresholds the one is taken whose smaller margin is largest. A threshold that just meets the
    floor here would miss it on new films every second time. Where none meets the rule, the
    verdict says so and the gate will refuse.
    """
    levels = np.unique(scores_n)
    middles = (levels[:-1] + levels[1:]) / 2
    best: tuple[float, float] | None = None
    for threshold in _thin(middles if middles.size else levels):
        sensitivity, specificity = at_threshold(
            labels_n, scores_n, patients_n, threshold, rule.confidence
        )
        margin = min(
            _margin(sensitivity.lower, rule.sensitivity_floor),
            _margin(specificity.lower, rule.specificity_floor),
        )
        if best is None or margin > best[0]:
            best = (margin, float(threshold))
    assert best is not None, "choose_threshold needs at least one film"
    sensitivity, specificity = at_threshold(
        labels_n, scores_n, patients_n, best[1], rule.confidence
    )
    return OperatingPoint(best[1], sensitivity, specificity, judge(rule, sensitivity, specificity))


def sensitivity_at_specificity(
    labels_n: np.ndarray, scores_n: np.ndarray, specificity_floor: float
) -> float:
    """
    The highest sensitivity of any threshold whose specificity is at or over the floor, 0..1.

    What epochs and trials are ranked by: it needs no calibrated threshold.
    """
    positives = scores_n[labels_n == 1]
    if not positives.size or positives.size == labels_n.size:
        return float("nan")
    threshold = threshold_at_specificity(labels_n, scores_n, specificity_floor)
    return float(np.mean(positives > threshold))


def threshold_at_specificity(
    labels_n: np.ndarray, scores_n: np.ndarray, specificity_floor: float
) -> float:
    """
    The lowest score such that calling films over it, and not at it, positive keeps specificity at
    or over the floor on these films.
    """
    negatives = np.sort(scores_n[labels_n == 0])
    allowed = int(np.floor((1.0 - specificity_floor) * negatives.size + 1e-9))
    return -np.inf if allowed >= negatives.size else float(negatives[negatives.size - 1 - allowed])


def _margin(bound: float, floor: float) -> float:
    return (bound - floor) / (1 - floor)


def _relation(holds: bool) -> str:
    return "not under" if holds else "under"


def _thin(thresholds: np.ndarray, most: int = 2000) -> np.ndarray:
    """Evenly chosen thresholds by rank: beyond some thousands nothing is gained but time."""
    if thresholds.size <= most:
        return thresholds
    chosen: np.ndarray = thresholds[np.linspace(0, thresholds.size - 1, most).astype(int)]
    return chosen
