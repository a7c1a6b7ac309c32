"""
What one epoch is worth: its figures on the validation films, and the score that ranks it.

Two classes have one logit a film, k > 2 classes have k. Checkpoint, patience and search all
rank by ``SCORE``, which holds the named rule.
"""

from typing import Literal

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score

from lucency.errors import ConfigError
from lucency.evaluation import intervals, metrics, rule
from lucency.evaluation.intervals import Interval

SCORE = "score"

Selection = Literal["auto", "sensitivity_at_specificity", "sensitivity", "auroc", "accuracy"]
_OF_TWO_CLASSES = ("sensitivity_at_specificity", "sensitivity")


def outputs(classes: int) -> int:
    """Logits a film: one for two classes, else one a class."""
    return 1 if classes == 2 else classes


def resolve(selection: Selection, classes: int) -> Selection:
    """
    The rule that ranks epochs; ``auto`` is sensitivity at the specificity floor for two classes,
    accuracy for more.

    Raises:
        ConfigError: the rule says nothing about that many classes.
    """
    if selection == "auto":
        return "sensitivity_at_specificity" if classes == 2 else "accuracy"
    if classes != 2 and selection in _OF_TWO_CLASSES:
        raise ConfigError(
            f"selection {selection!r} is for two classes, the data have {classes}: use accuracy, "
            "auroc or auto"
        )
    return selection


def headline(
    labels_n: np.ndarray,
    logits_nk: np.ndarray,
    patients_n: np.ndarray,
    specificity_floor: float,
    confidence: float,
) -> tuple[str, Interval]:
    """
    The one figure that models are compared by, with its interval by patient: sensitivity at the
    specificity floor for two classes, accuracy for more.
    """
    if logits_nk.shape[1] > 1:
        right_n = logits_nk.argmax(axis=1) == labels_n
        return "accuracy", intervals.proportion(right_n, patients_n, confidence)
    threshold = rule.threshold_at_specificity(labels_n, logits_nk[:, 0], specificity_floor)
    positive = labels_n == 1
    found_n = logits_nk[positive, 0] > threshold
    name = f"sensitivity at specificity {specificity_floor:g}"
    return name, intervals.proportion(found_n, patients_n[positive], confidence)


def figures(
    labels_n: np.ndarray, logits_nk: np.ndarray, specificity_floor: float, selection: Selection
) -> dict[str, float]:
    """
    One epoch's figures: loss (nats), accuracy, AUROC; for two classes sensitivity and
    specificity at probability 0.5 and sensitivity at the specificity floor, for more classes the
    mean sensitivity over classes; and the score.
    """
    labels_n = labels_n.astype(np.int64)
    if logits_nk.shape[1] == 1:
        found = _of_two(labels_n, logits_nk[:, 0], specificity_floor)
    else:
        found = _of_many(labels_n, logits_nk)
    chosen = found[resolve(selection, max(2, logits_nk.shape[1]))]
    return {**found, SCORE: score(chosen, found["validation_loss"])}


def score(value: float, loss: float) -> float:
    """
    The one number that epochs are ranked by.

    Equal values are told apart by the loss, in the fifth decimal place.
    """
    return value - 1e-5 * min(loss, 10.0)


def _of_two(
    labels_n: np.ndarray, logits_n: np.ndarray, specificity_floor: float
) -> dict[str, float]:
    called, positive = logits_n >= 0, labels_n == 1
    return {
        "validation_loss": float(np.mean(np.logaddexp(0.0, np.where(positive, -1, 1) * logits_n))),
        "accuracy": float(np.mean(called == positive)),
        "auroc": metrics.auroc(labels_n, logits_n),
        "sensitivity": float(called[positive].mean()),
        "specificity": float((~called[~positive]).mean()),
        "sensitivity_at_specificity": rule.sensitivity_at_specificity(
            labels_n, logits_n, specificity_floor
        ),
    }


def _of_many(labels_n: np.ndarray, logits_nk: np.ndarray) -> dict[str, float]:
    given_nk = log_softmax(logits_nk, axis=1)
    called_n = logits_nk.argmax(axis=1)
    return {
        "validation_loss": float(-given_nk[np.arange(labels_n.size), labels_n].mean()),
        "accuracy": float(np.mean(called_n == labels_n)),
        "auroc": metrics.mean_auroc(labels_n, np.exp(given_nk)),
        "mean_sensitivity": float(balanced_accuracy_score(labels_n, called_n)),
    }
