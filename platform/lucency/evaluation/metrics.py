"""What a classifier is worth on a set of films, each figure with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, roc_auc_score

from lucency.evaluation import areas, bootstrap, intervals, rule
from lucency.evaluation.intervals import Interval
from lucency.evaluation.rule import ClinicalRule


def auroc(labels_n: np.ndarray, scores_n: np.ndarray) -> float:
    """Area under the ROC curve, NaN where a class is missing."""
    if len(np.unique(labels_n)) < 2:
        return float("nan")
    return float(roc_auc_score(labels_n, scores_n))


def mean_auroc(labels_n: np.ndarray, probabilities_nk: np.ndarray) -> float:
    """Mean over the classes of the area under each one's ROC curve against all others."""
    return float(
        np.mean(
            [
                auroc((labels_n == label).astype(int), probabilities_nk[:, label])
                for label in range(probabilities_nk.shape[1])
            ]
        )
    )


def confusion(labels_n: np.ndarray, called_n: np.ndarray) -> dict[str, int]:
    """Counts of the four outcomes, films."""
    positive = labels_n == 1
    return {
        "true_positive": int((called_n & positive).sum()),
        "false_positive": int((called_n & ~positive).sum()),
        "true_negative": int((~called_n & ~positive).sum()),
        "false_negative": int((~called_n & positive).sum()),
    }


def predictive_values(
    sensitivity: Interval, specificity: Interval, prevalence: float
) -> tuple[Interval, Interval]:
    """
    What a call means where a share ``prevalence`` of the films is positive, by Bayes' rule.

    Both rise with sensitivity and with specificity, so their bounds are taken where both of
    these stand at theirs: wider than need be, never too narrow.

    Returns:
        Positive and negative predictive value; NaN where nothing would be called so.
    """
    corners = [
        (sensitivity.value, specificity.value),
        (sensitivity.lower, specificity.lower),
        (sensitivity.upper, specificity.upper),
    ]
    positive = [_share(sens * prevalence, (1 - spec) * (1 - prevalence)) for sens, spec in corners]
    negative = [_share(spec * (1 - prevalence), (1 - sens) * prevalence) for sens, spec in corners]
    return Interval(*positive), Interval(*negative)


def f1(
    labels_n: np.ndarray, called_n: np.ndarray, patients_n: np.ndarray, confidence: float = 0.95
) -> Interval:
    """Harmonic mean of sensitivity and positive predictive value, bootstrap by patient."""
    positive = labels_n == 1
    twice_found_n = 2.0 * (positive & called_n)
    counted_n = positive.astype(float) + called_n

    def statistic(weights_rn: np.ndarray) -> np.ndarray:
        counted_r = weights_rn @ counted_n
        return np.where(
            counted_r > 0, weights_rn @ twice_found_n / np.maximum(counted_r, 1), np.nan
        )

    return bootstrap.interval(statistic, patients_n, confidence=confidence)


def brier(
    labels_n: np.ndarray,
    probabilities_n: np.ndarray,
    patients_n: np.ndarray,
    confidence: float = 0.95,
) -> Interval:
    """Mean squared error of the probability (Brier, 1950), bootstrap by patient; 0 is perfect."""
    squared_n = (probabilities_n - (labels_n == 1)) ** 2
    return bootstrap.interval(
        lambda weights_rn: weights_rn @ squared_n / weights_rn.sum(axis=1),
        patients_n,
        confidence=confidence,
    )


def assess(
    labels_n: np.ndarray,
    probabilities_n: np.ndarray,
    patients_n: np.ndarray,
    sites_n: np.ndarray,
    *,
    threshold: float,
    clinical_rule: ClinicalRule,
    prevalences: Sequence[float] = (),
) -> dict[str, Any]:
    """
    All figures of a set of films at a fixed threshold.

    Args:
        prevalences: Shares of positives elsewhere, for which predictive values are wanted.

    Returns:
        ``films``, ``patients``, ``positives``, ``metrics`` (each ``{value, lower, upper}``),
        ``at_prevalence``, ``confusion``, ``sites``, ``verdict``; plain values, ready for JSON.
    """
    confidence = clinical_rule.confidence
    called = probabilities_n >= threshold
    right = called == (labels_n == 1)
    sensitivity, specificity = rule.at_threshold(
        labels_n, probabilities_n, patients_n, threshold, confidence
    )
    figures = {
        "auroc": areas.auroc(labels_n, probabilities_n, patients_n, confidence=confidence),
        "auprc": areas.auprc(labels_n, probabilities_n, patients_n, confidence=confidence),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": intervals.proportion(right, patients_n, confidence),
        "ppv": intervals.proportion(right[called], patients_n[called], confidence),
        "npv": intervals.proportion(right[~called], patients_n[~called], confidence),
        "f1": f1(labels_n, called, patients_n, confidence),
        "brier": brier(labels_n, probabilities_n, patients_n, confidence),
    }
    verdict = rule.judge(clinical_rule, sensitivity, specificity)
    return {
        "films": int(labels_n.size),
        "patients": len(np.unique(patients_n)),
        "positives": int((labels_n == 1).sum()),
        "metrics": {name: plain(figure) for name, figure in figures.items()},
        "at_prevalence": [
            {"prevalence": prevalence, "ppv": plain(ppv), "npv": plain(npv)}
            for prevalence in prevalences
            for ppv, npv in [predictive_values(sensitivity, specificity, prevalence)]
        ],
        "confusion": confusion(labels_n, called),
        "sites": {
            str(site): _site(
                *(values[sites_n == site] for values in (labels_n, probabilities_n, patients_n)),
                threshold=threshold,
                confidence=confidence,
            )
            for site in np.unique(sites_n)
        },
        "verdict": {"passed": verdict.passed, "reasons": list(verdict.reasons)},
    }


def assess_classes(
    labels_n: np.ndarray,
    probabilities_nk: np.ndarray,
    patients_n: np.ndarray,
    sites_n: np.ndarray,
    *,
    classes: Sequence[str],
    clinical_rule: ClinicalRule,
) -> dict[str, Any]:
    """
    All figures of a set of more than two classes; the most probable class is called.

    The rule is judged on each class against all others, so that it means the same as for two
    classes; ``metrics`` has the worst class's sensitivity and the lowest specificity of any.

    Returns:
        As ``assess``, with ``worst_class``, ``classes`` (figures of each one) and a ``confusion``
        of rows by truth and columns by call.
    """
    confidence = clinical_rule.confidence
    called_n = probabilities_nk.argmax(axis=1)
    worst, found = rule.worst_class(labels_n, called_n, patients_n, len(classes), confidence)
    overcalled = rule.least_specific(found)
    verdict = rule.judge(clinical_rule, found[worst][0], found[overcalled][1])
    right_n = called_n == labels_n
    area = areas.mean_auroc(
        labels_n,
        probabilities_nk,
        patients_n,
        positives=range(len(classes)),
        confidence=confidence,
    )
    return {
        "films": int(labels_n.size),
        "patients": len(np.unique(patients_n)),
        "worst_class": classes[worst],
        "metrics": {
            "accuracy": plain(intervals.proportion(right_n, patients_n, confidence)),
            "auroc": plain(area),
            "sensitivity": plain(found[worst][0]),
            "specificity": plain(found[overcalled][1]),
        },
        "classes": {
            name: {
                "films": int((labels_n == label).sum()),
                "sensitivity": plain(found[label][0]),
                "specificity": plain(found[label][1]),
                "ppv": plain(
                    intervals.proportion(
                        right_n[called_n == label], patients_n[called_n == label], confidence
                    )
                ),
            }
            for label, name in enumerate(classes)
        },
        "confusion": confusion_matrix(labels_n, called_n, labels=range(len(classes))).tolist(),
        "sites": {
            str(site): {
                "films": int((sites_n == site).sum()),
                "accuracy": plain(
                    intervals.proportion(
                        right_n[sites_n == site], patients_n[sites_n == site], confidence
                    )
                ),
            }
            for site in np.unique(sites_n)
        },
        "verdict": {
            "passed": verdict.passed,
            "reasons": [
                f"class {classes[label]!r}: {reason}"
                for label, reason in zip((worst, overcalled), verdict.reasons, strict=True)
            ],
        },
    }


def plain(figure: Interval) -> dict[str, float | None]:
    """JSON knows no NaN: what could not be counted is null."""
    return {name: None if np.isnan(x) else x for name, x in asdict(figure).items()}


def plain_all(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The same for every interval inside."""
    return {
        name: plain(found)
        if isinstance(found, Interval)
        else plain_all(found)
        if isinstance(found, Mapping)
        else found
        for name, found in figures.items()
    }


def _share(of: float, rest: float) -> float:
    whole = of + rest
    return of / whole if whole > 0 else float("nan")


def _site(
    labels_n: np.ndarray,
    probabilities_n: np.ndarray,
    patients_n: np.ndarray,
    *,
    threshold: float,
    confidence: float,
) -> dict[str, Any]:
    sensitivity, specificity = rule.at_threshold(
        labels_n, probabilities_n, patients_n, threshold, confidence
    )
    area = areas.auroc(labels_n, probabilities_n, patients_n, confidence=confidence)
    return {
        "films": int(labels_n.size),
        "patients": len(np.unique(patients_n)),
        "sensitivity": plain(sensitivity),
        "specificity": plain(specificity),
        "auroc": plain(area),
    }
