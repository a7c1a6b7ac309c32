"""
Prediction sets with a guaranteed coverage, and when to leave the answer to a reader.

A label is in a film's set unless its probability is lower than nearly all validation films of
that label had: class-conditional split conformal prediction (Vovk, 2012; Sadinle, Lei and
Wasserman, 2019). Each patient weighs the same, however many films there are of them, and one
more patient than there was counts as the worst possible (hierarchical conformal prediction,
Lee, Barber and Willett, 2023). So a film of a new patient has its true label in the set with at
least the promised probability, in every class, whatever the network; as long as patients are of
the kind that the validation films came from.
"""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lucency.evaluation.intervals import Interval, proportion

Reason = Literal["clear", "several_labels", "no_label", "set_against_threshold"]

REASONS: dict[Reason, str] = {
    "clear": "one label is in the set, and it is the one that is called",
    "several_labels": "validation films of several labels looked like this one",
    "no_label": "hardly any validation film of any label looked like this one",
    "set_against_threshold": "the set holds one label, the clinical threshold calls another",
}


class Conformal(BaseModel):
    """
    What of each label's probability is enough to be in the set.

    Attributes:
        coverage: Promised share of films whose set has their true label, in every class.
        least: Probability that a label needs, one a class; 0 where validation has too few
            patients of it to promise anything: then the label is always in the set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coverage: Annotated[float, Field(gt=0.5, lt=1)]
    least: tuple[Annotated[float, Field(ge=0, le=1)], ...]

    def sets(self, probabilities_nk: np.ndarray) -> np.ndarray:
        """Which labels are in the set of each film, bool n x classes."""
        inside: np.ndarray = probabilities_nk >= np.array(self.least)
        return inside

    def reason(self, inside_k: np.ndarray, called: int) -> Reason:
        """Why a film is answered, or left to a reader: anything but ``clear``."""
        if not inside_k.any():
            return "no_label"
        if inside_k.sum() > 1:
            return "several_labels"
        return "clear" if inside_k[called] else "set_against_threshold"


def fit(
    labels_n: np.ndarray, probabilities_nk: np.ndarray, patients_n: np.ndarray, coverage: float
) -> Conformal:
    """
    Bounds from validation films that neither weights nor threshold are judged on again.

    Args:
        probabilities_nk: Calibrated.
    """
    classes = probabilities_nk.shape[1]
    return Conformal(
        coverage=coverage,
        least=tuple(
            _least(probabilities_nk[own, label], patients_n[own], coverage)
            for label, own in ((label, labels_n == label) for label in range(classes))
        ),
    )


def assess(
    conformal: Conformal,
    labels_n: np.ndarray,
    probabilities_nk: np.ndarray,
    called_n: np.ndarray,
    patients_n: np.ndarray,
    *,
    classes: tuple[str, ...],
    confidence: float,
) -> dict[str, Any]:
    """
    What the promise was worth on other films.

    Returns:
        ``coverage`` by class, ``abstained`` and ``wrong`` among ``answered`` and ``abstained``
        films, each with an interval by patient, and the number of films by ``reasons``.
    """
    inside_nk = conformal.sets(probabilities_nk)
    covered_n = inside_nk[np.arange(labels_n.size), labels_n]
    reasons = [
        conformal.reason(inside_k, called)
        for inside_k, called in zip(inside_nk, called_n, strict=True)
    ]
    left_n = np.array([reason != "clear" for reason in reasons])
    wrong_n = called_n != labels_n

    def share(hits_n: np.ndarray, among_n: np.ndarray) -> Interval:
        return proportion(hits_n[among_n], patients_n[among_n], confidence)

    return {
        "promised": conformal.coverage,
        "coverage": {
            name: share(covered_n, labels_n == label) for label, name in enumerate(classes)
        },
        "abstained": proportion(left_n, patients_n, confidence),
        "wrong": {"answered": share(wrong_n, ~left_n), "abstained": share(wrong_n, left_n)},
        "reasons": {reason: reasons.count(reason) for reason in REASONS},
    }


def _least(given_n: np.ndarray, patients_n: np.ndarray, coverage: float) -> float:
    """The largest probability that the promised share of patients' films still reach."""
    _, index_n, films_p = np.unique(patients_n, return_inverse=True, return_counts=True)
    # One new patient, who may be worse than all of these, has the weight of each of them.
    patient = 1 / (films_p.size + 1)
    order = np.argsort(given_n, kind="stable")
    weights_n = patient / films_p[index_n[order]]
    missed_n = np.cumsum(weights_n) - weights_n + patient
    kept_n = given_n[order][missed_n <= 1 - coverage + 1e-9]
    return float(kept_n[-1]) if kept_n.size else 0.0
