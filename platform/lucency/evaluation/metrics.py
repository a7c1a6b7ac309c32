"""What a binary classifier is worth on a set of films, each figure with its interval."""

from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from lucency.evaluation import intervals, rule
from lucency.evaluation.intervals import Interval
from lucency.evaluation.rule import ClinicalRule


def auroc(labels_n: np.ndarray, scores_n: np.ndarray) -> float:
    """Area under the ROC curve, NaN where a class is missing."""
    if len(np.unique(labels_n)) < 2:
        return float("nan")
    return float(roc_auc_score(labels_n, scores_n))


def confusion(labels_n: np.ndarray, called_n: np.ndarray) -> dict[str, int]:
    """Counts of the four outcomes, films."""
    positive = labels_n == 1
    return {
        "true_positive": int((called_n & positive).sum()),
        "false_positive": int((called_n & ~positive).sum()),
        "true_negative": int((~called_n & ~positive).sum()),
        "false_negative": int((~called_n & positive).sum()),
    }


def assess(
    labels_n: np.ndarray,
    probabilities_n: np.ndarray,
    patients_n: np.ndarray,
    sites_n: np.ndarray,
    *,
    threshold: float,
    clinical_rule: ClinicalRule,
) -> dict[str, Any]:
    """
    All figures of a set of films at a fixed threshold.

    Returns:
        ``films``, ``patients``, ``positives``, ``metrics`` (each ``{value, lower, upper}``),
        ``confusion``, ``sites``, ``verdict``; plain values, ready for JSON.
    """
    confidence = clinical_rule.confidence
    called = probabilities_n >= threshold
    right = called == (labels_n == 1)
    sensitivity, specificity = rule.at_threshold(
        labels_n, probabilities_n, patients_n, threshold, confidence
    )
    figures = {
        "auroc": intervals.auroc(labels_n, probabilities_n, patients_n, confidence=confidence),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": intervals.proportion(right, patients_n, confidence),
        "ppv": intervals.proportion(right[called], patients_n[called], confidence),
        "npv": intervals.proportion(right[~called], patients_n[~called], confidence),
    }
    verdict = rule.judge(clinical_rule, sensitivity, specificity)
    return {
        "films": int(labels_n.size),
        "patients": len(np.unique(patients_n)),
        "positives": int((labels_n == 1).sum()),
        "metrics": {name: plain(figure) for name, figure in figures.items()},
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


def plain(figure: Interval) -> dict[str, float | None]:
    """JSON knows no NaN: what could not be counted is null."""
    return {name: None if np.isnan(x) else x for name, x in asdict(figure).items()}


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
    area = intervals.auroc(labels_n, probabilities_n, patients_n, confidence=confidence)
    return {
        "films": int(labels_n.size),
        "patients": len(np.unique(patients_n)),
        "sensitivity": plain(sensitivity),
        "specificity": plain(specificity),
        "auroc": plain(area),
    }
