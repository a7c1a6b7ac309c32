"""Probabilities that mean what they say: temperature scaling and the error that is left."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import brier_score_loss

# Outside this range the labels carry no information for the fit, or fit perfectly.
_LOWEST, _HIGHEST = 0.05, 20.0


def fit_temperature(logits_nk: np.ndarray, labels_n: np.ndarray) -> float:
    """
    The temperature that minimises the negative log-likelihood of validation films.

    Guo et al., 2017, https://arxiv.org/abs/1706.04599. Ranks, and so AUROC, don't change.

    Args:
        logits_nk: One column for two classes, else one a class.
    """
    wide_nk = logits_nk.astype(np.float64)
    if wide_nk.shape[1] == 1:
        wide_nk = np.concatenate([np.zeros_like(wide_nk), wide_nk], axis=1)

    def loss(log_temperature: float) -> float:
        given_nk = log_softmax(wide_nk / np.exp(log_temperature), axis=1)
        return float(-given_nk[np.arange(labels_n.size), labels_n].mean())

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


def summary(labels_n: np.ndarray, probabilities_nk: np.ndarray) -> dict[str, float]:
    """
    ``{ece, brier}``: of the second class's probability where there are two, else of the class
    that is called (Guo et al.) and of all classes together.
    """
    if probabilities_nk.shape[1] == 2:
        positive_n = probabilities_nk[:, 1]
        return {
            "ece": expected_calibration_error(labels_n, positive_n),
            "brier": float(brier_score_loss(labels_n, positive_n)),
        }
    right_n = probabilities_nk.argmax(axis=1) == labels_n
    truth_nk = np.eye(probabilities_nk.shape[1])[labels_n]
    return {
        "ece": expected_calibration_error(right_n, probabilities_nk.max(axis=1)),
        "brier": float(((probabilities_nk - truth_nk) ** 2).sum(axis=1).mean()),
    }
