"""A model as it is on films of a site that it has never seen, and what would adapt it to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucency.errors import DataError
from lucency.evaluation import bootstrap, calibration, folds, probability, rule
from lucency.evaluation.calibrated import Calibrator, Method
from lucency.evaluation.intervals import Interval
from lucency.evaluation.metrics import plain
from lucency.evaluation.rule import ClinicalRule, OperatingPoint, Verdict

_STEPS = 30
_CONVERGED = 1e-6


@dataclass(frozen=True)
class Suggestion:
    """
    Calibration and threshold that the site's own films would give.

    Attributes:
        folds: The other figures are of films that did not take part: each fold of patients is
            decided by what the others give.
        probabilities: n x classes, cross-fitted.
    """

    calibrator: Calibrator
    threshold: float | None
    folds: int
    probabilities: np.ndarray
    sensitivity: Interval
    specificity: Interval
    verdict: Verdict

    def record(self, labels_n: np.ndarray) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "calibrator": str(self.calibrator),
            "temperature": self.calibrator.temperature,
            "threshold": self.threshold,
            "folds": self.folds,
            "sensitivity": plain(self.sensitivity),
            "specificity": plain(self.specificity),
            "calibration": calibration.summary(labels_n, self.probabilities),
            "verdict": {"passed": self.verdict.passed, "reasons": list(self.verdict.reasons)},
        }


def counterparts(
    classes: Sequence[str], wanted: Sequence[str], names: Mapping[str, str]
) -> np.ndarray:
    """
    The model's class for each class of another table, as indices into the model's.

    Args:
        classes: Of the table.
        wanted: Of the model.
        names: The model's name for a class of the table, where it is another one.

    Raises:
        DataError: a class has no counterpart.
    """
    if strange := sorted(set(names) - set(classes)):
        raise DataError(f"labels names {strange}, the table has {list(classes)}")
    meant = [names.get(name, name) for name in classes]
    if lost := [name for name in classes if names.get(name, name) not in wanted]:
        raise DataError(
            f"the table's classes are {list(classes)}, and the model tells apart {list(wanted)}: "
            f"say which of these {lost} are, as labels.{lost[0]}={wanted[-1]}"
        )
    return np.array([list(wanted).index(name) for name in meant])


def fit(
    logits_nk: np.ndarray,
    labels_n: np.ndarray,
    patients_n: np.ndarray,
    clinical_rule: ClinicalRule,
    method: Method = "temperature",
) -> tuple[Calibrator, OperatingPoint]:
    """Calibration, and the decision by the rule after it; never on films that are to judge them."""
    calibrator = calibration.fit(logits_nk, labels_n, method)
    point = rule.operating_point(labels_n, calibrator(logits_nk), patients_n, clinical_rule)
    return calibrator, point


def suggest(
    logits_nk: np.ndarray,
    labels_n: np.ndarray,
    patients_n: np.ndarray,
    clinical_rule: ClinicalRule,
    classes: int,
    method: Method = "temperature",
) -> Suggestion | None:
    """Cross-fitted by patient; None where a class has too few patients for it."""
    parts = folds.by_patient(labels_n, patients_n, classes)
    if not parts:
        return None
    given_nk = np.empty((labels_n.size, classes))
    called_n = np.empty(labels_n.size, dtype=np.int64)
    for learned, judged in parts:
        calibrator, point = fit(
            logits_nk[learned], labels_n[learned], patients_n[learned], clinical_rule, method
        )
        given_nk[judged] = calibrator(logits_nk[judged])
        called_n[judged] = rule.called(given_nk[judged], point.threshold)
    sensitivity, specificity = rule.of_called(
        labels_n, called_n, patients_n, classes, clinical_rule.confidence
    )
    calibrator, point = fit(logits_nk, labels_n, patients_n, clinical_rule, method)
    return Suggestion(
        calibrator=calibrator,
        threshold=point.threshold,
        folds=len(parts),
        probabilities=given_nk,
        sensitivity=sensitivity,
        specificity=specificity,
        verdict=rule.judge(clinical_rule, sensitivity, specificity),
    )


def reliability(
    labels_n: np.ndarray,
    probabilities_nk: np.ndarray,
    patients_n: np.ndarray,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """
    ``{ece, brier}``; for two classes ``slope`` and ``intercept`` with intervals too.

    Those of a logistic regression of the truth on the model's log-odds (Cox, 1958): a slope under
    1 is overconfidence, an intercept over 0 too few positives foretold. None where the
    probabilities separate the classes, as no finite slope fits.
    """
    found: dict[str, Any] = dict(calibration.summary(labels_n, probabilities_nk))
    if probabilities_nk.shape[1] > 2:
        return found
    given_n = np.clip(probabilities_nk[:, 1], 1e-12, 1 - 1e-12)
    odds_n = np.log(given_n / (1 - given_n))
    positive_n = (labels_n == 1).astype(float)

    def intercept(weights_rn: np.ndarray) -> np.ndarray:
        return _logistic(weights_rn, odds_n, positive_n)[0]

    def slope(weights_rn: np.ndarray) -> np.ndarray:
        return _logistic(weights_rn, odds_n, positive_n)[1]

    for name, statistic in (("intercept", intercept), ("slope", slope)):
        found[name] = plain(bootstrap.interval(statistic, patients_n, confidence=confidence))
    return found


def _logistic(
    weights_rn: np.ndarray, odds_n: np.ndarray, positive_n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and slope of each row of weights by Newton's method; NaN where there is no end."""
    # From nothing known: where the model is sure of everything, slope 1 has no curvature to go by.
    intercept_r, slope_r = np.zeros(len(weights_rn)), np.zeros(len(weights_rn))
    step_r = np.full(len(weights_rn), np.inf)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            given_rn = probability.sigmoid(intercept_r[:, None] + slope_r[:, None] * odds_n)
            missed_rn = weights_rn * (positive_n - given_rn)
            curved_rn = weights_rn * given_rn * (1 - given_rn)
            whole_r, mixed_r = curved_rn.sum(axis=1), curved_rn @ odds_n
            squared_r = curved_rn @ odds_n**2
            first_r, second_r = missed_rn.sum(axis=1), missed_rn @ odds_n
            determinant_r = whole_r * squared_r - mixed_r**2
            by_intercept_r = (squared_r * first_r - mixed_r * second_r) / determinant_r
            by_slope_r = (whole_r * second_r - mixed_r * first_r) / determinant_r
            intercept_r, slope_r = intercept_r + by_intercept_r, slope_r + by_slope_r
            step_r = np.maximum(abs(by_intercept_r), abs(by_slope_r))
            if (step_r < _CONVERGED).all():
                break
    ended_r = step_r < _CONVERGED
    return np.where(ended_r, intercept_r, np.nan), np.where(ended_r, slope_r, np.nan)
