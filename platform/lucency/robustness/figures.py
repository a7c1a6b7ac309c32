"""What the answers to corrupted films mean: figures by patient, drops, where the rule is lost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lucency import seed
from lucency.evaluation import areas, intervals, metrics, rule
from lucency.evaluation.intervals import Interval
from lucency.evaluation.rule import ClinicalRule


def choose(rows_n: np.ndarray, patients_n: np.ndarray, most: int, seed_number: int) -> np.ndarray:
    """
    About ``most`` of the rows, whole patients at a time, in the given order.

    A random order of patients is gone through until the next patient would be one too many; the
    first is always taken.
    """
    names, patient_n, films_k = np.unique(patients_n, return_inverse=True, return_counts=True)
    order = seed.generator(seed_number, "robustness", "patients").permutation(len(names))
    fits = max(1, int((np.cumsum(films_k[order]) <= most).sum()))
    chosen: np.ndarray = rows_n[np.isin(patient_n, order[:fits])]
    return chosen


def area(
    labels_n: np.ndarray, probabilities_nk: np.ndarray, patients_n: np.ndarray, confidence: float
) -> Interval:
    """Area under the ROC curve; of more than two classes the mean of each against all others."""
    classes = probabilities_nk.shape[1]
    if classes == 2:
        return areas.auroc(labels_n, probabilities_nk[:, 1], patients_n, confidence=confidence)
    return areas.mean_auroc(
        labels_n, probabilities_nk, patients_n, positives=range(classes), confidence=confidence
    )


def assess(
    labels_n: np.ndarray,
    probabilities_nk: np.ndarray,
    patients_n: np.ndarray,
    *,
    threshold: float | None,
    clinical_rule: ClinicalRule,
) -> dict[str, Any]:
    """
    The figures of one version of all films, decided as the bundle's card decides.

    Returns:
        By measure ``{value, lower, upper}``, and ``passed``: whether the clinical rule holds. Of
        more than two classes ``sensitivity`` is the worst class's, ``specificity`` the lowest.
    """
    confidence = clinical_rule.confidence
    found = {"auroc": area(labels_n, probabilities_nk, patients_n, confidence)}
    called_n = rule.called(probabilities_nk, threshold)
    if threshold is None:
        found["accuracy"] = intervals.proportion(called_n == labels_n, patients_n, confidence)
    sensitivity, specificity = rule.of_called(
        labels_n, called_n, patients_n, probabilities_nk.shape[1], confidence
    )
    found |= {"sensitivity": sensitivity, "specificity": specificity}
    return {
        **{name: metrics.plain(figure) for name, figure in found.items()},
        "passed": rule.judge(clinical_rule, sensitivity, specificity).passed,
    }


def measures(clean: Mapping[str, Any]) -> tuple[str, ...]:
    """The measures that an assessment holds, without the verdict."""
    return tuple(name for name in clean if name != "passed")


def summarise(
    clean: Mapping[str, Any], by_severity: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """
    One corruption beside the clean films.

    Returns:
        ``severities``; ``drop`` by measure, clean less corrupted, mean over severities;
        ``rule_lost_at``, the smallest severity without the clinical rule: 0 where the clean films
        miss it already, None where it holds at all of them.
    """
    held = {0: clean, **by_severity}
    return {
        "severities": {str(severity): found for severity, found in by_severity.items()},
        "drop": {
            name: _mean([_drop(clean[name], found[name]) for found in by_severity.values()])
            for name in measures(clean)
        },
        "rule_lost_at": min(
            (at for at, found in held.items() if not found["passed"]), default=None
        ),
    }


def mean_drop(drops: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Mean corruption drop by measure: each corruption counts once, however many severities."""
    names = drops[0] if drops else ()
    return {name: _mean([drop[name] for drop in drops]) for name in names}


def _drop(clean: Mapping[str, float | None], found: Mapping[str, float | None]) -> float | None:
    before, after = clean["value"], found["value"]
    return None if before is None or after is None else before - after


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
