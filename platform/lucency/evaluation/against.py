"""One model against another on the same films: what changes, with intervals by patient."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lucency.evaluation import bootstrap, delong
from lucency.evaluation.intervals import UNKNOWN, Interval
from lucency.evaluation.metrics import plain


def of_two(
    labels_n: np.ndarray,
    probabilities_n: np.ndarray,
    others_n: np.ndarray,
    patients_n: np.ndarray,
    *,
    thresholds: tuple[float, float],
    confidence: float,
) -> dict[str, Any]:
    """
    Two classes: how much higher AUROC, sensitivity and specificity of the first model are.

    AUROC by DeLong's test; the others by a bootstrap of the paired difference, in which both
    models meet the same patients.

    Args:
        thresholds: Of the first model and of the other one.

    Returns:
        Each difference as ``{value, lower, upper}``, and ``p_value`` of AUROC's.

    Raises:
        DataError: a class has fewer than two patients.
    """
    area = delong.compare(labels_n, probabilities_n, others_n, patients_n, confidence)
    positive = labels_n == 1
    gained_n = _gained(
        (probabilities_n >= thresholds[0]) == positive, (others_n >= thresholds[1]) == positive
    )
    return {
        "auroc": plain(area.interval),
        "p_value": area.p_value,
        "sensitivity": plain(_mean(gained_n, positive, patients_n, confidence)),
        "specificity": plain(_mean(gained_n, ~positive, patients_n, confidence)),
    }


def of_many(
    labels_n: np.ndarray,
    probabilities_nk: np.ndarray,
    others_nk: np.ndarray,
    patients_n: np.ndarray,
    *,
    confidence: float,
) -> dict[str, Any]:
    """More classes: how much higher the first model's accuracy is, as ``{value, lower, upper}``."""
    gained_n = _gained(
        probabilities_nk.argmax(axis=1) == labels_n, others_nk.argmax(axis=1) == labels_n
    )
    everything = np.ones(labels_n.size, dtype=bool)
    return {"accuracy": plain(_mean(gained_n, everything, patients_n, confidence))}


def lines(found: Mapping[str, Any]) -> list[str]:
    """For people: ``sensitivity +0.0123 (-0.0040 to +0.0300)``."""
    shown = [
        f"{name} {figure['value']:+.4f} ({figure['lower']:+.4f} to {figure['upper']:+.4f})"
        for name, figure in found.items()
        if isinstance(figure, Mapping) and figure["value"] is not None
    ]
    return [*shown, f"p {found['p_value']:.3g} of AUROC"] if "p_value" in found else shown


def _gained(right_n: np.ndarray, other_right_n: np.ndarray) -> np.ndarray:
    """1 where only the first model is right, -1 where only the other one is."""
    gained_n: np.ndarray = right_n.astype(float) - other_right_n
    return gained_n


def _mean(
    gained_n: np.ndarray, chosen: np.ndarray, patients_n: np.ndarray, confidence: float
) -> Interval:
    if not chosen.any():
        return UNKNOWN

    def statistic(weights_rn: np.ndarray) -> np.ndarray:
        means_r: np.ndarray = (weights_rn * gained_n[chosen]).sum(axis=1) / weights_rn.sum(axis=1)
        return means_r

    return bootstrap.interval(statistic, patients_n[chosen], confidence=confidence)
