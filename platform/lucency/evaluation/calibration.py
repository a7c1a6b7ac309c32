"""Probabilities that mean what they say: temperature scaling and the error that is left."""

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss

# Outside this range the labels carry no information for the fit, or fit perfectly.
_LOWEST, _HIGHEST = 0.05, 20.0


def sigmoid(logits_n: np.ndarray) -> np.ndarray:
    """Logistic function that overflows for no input; float64."""
    wide = np.asarray(logits_n, dtype=np.float64)
    return np.where(
        wide >= 0,
        1 / (1 + np.exp(-np.abs(wide))),
        np.exp(-np.abs(wide)) / (1 + np.exp(-np.abs(wide))),
    )


def fit_temperature(logits_n: np.ndarray, labels_n: np.ndarray) -> float:
    """
    The temperature that minimises the negative log-likelihood of validation films.

    Guo et al., 2017, https://arxiv.org/abs/1706.04599. Ranks, and so AUROC, don't change.
    """

    def loss(log_temperature: float) -> float:
        scaled = logits_n.astype(np.float64) / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0.0, scaled) - labels_n * scaled))

    found = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def expected_calibration_error(
    labels_n: np.ndarray, probabilities_n: np.ndarray, *, bins: int = 10
) -> float:
    """
    Mean gap between probability and observed share over bins of equal mass, 0..1.

    Equal mass, because nearly all films of a good model lie in two of ten equally wide bins.
    """
    order = np.argsort(probabilities_n, kind="stable")
    gaps = [
        abs(float(probabilities_n[chunk].mean() - labels_n[chunk].mean())) * chunk.size
        for chunk in np.array_split(order, min(bins, order.size))
    ]
    return float(sum(gaps) / order.size)


def summary(labels_n: np.ndarray, probabilities_n: np.ndarray) -> dict[str, float]:
    """``{ece, brier}`` of binary labels."""
    return {
        "ece": expected_calibration_error(labels_n, probabilities_n),
        "brier": float(brier_score_loss(labels_n, probabilities_n)),
    }
