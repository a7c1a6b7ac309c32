"""Probabilities that mean what they say: how they are fitted, and the error that is left."""

from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_expit, log_softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

from lucency.errors import DataError
from lucency.evaluation import folds, probability
from lucency.evaluation.calibrated import Calibrator, Isotonic, Method, Platt

# Outside this range the labels carry no information for the fit, or fit perfectly.
_LOWEST, _HIGHEST = 0.05, 20.0


def fit(logits_nk: np.ndarray, labels_n: np.ndarray, method: Method = "temperature") -> Calibrator:
    """
    What makes probabilities of logits, by validation films.

    Args:
        logits_nk: One column for two classes, else one a class.

    Raises:
        DataError: the method does not take so many classes.
    """
    refuse_many(method, max(2, logits_nk.shape[1]))
    if method == "platt":
        return fit_platt(logits_nk[:, 0], labels_n)
    temperature = fit_temperature(logits_nk, labels_n)
    if method == "isotonic":
        given_nk = probability.of_classes(logits_nk, temperature)
        return Calibrator(temperature, fit_isotonic(given_nk[:, 1], labels_n))
    return Calibrator(temperature)


def refuse_many(method: Method, classes: int) -> None:
    """
    Ask whether a method can calibrate so many classes.

    One curve for each class against the others would have to be made to sum to 1 again, and could
    then move one class past another.

    Raises:
        DataError: it can't.
    """
    if classes > 2 and method != "temperature":
        raise DataError(
            f"calibration={method} is for two classes, here are {classes}: give "
            "calibration=temperature"
        )


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


def fit_platt(logits_n: np.ndarray, labels_n: np.ndarray) -> Calibrator:
    """
    Temperature and shift that minimise the negative log-likelihood of validation films.

    Platt, 1999, "Probabilistic outputs for support vector machines": one more film of each kind
    than there was counts as undecided, so that films told apart without error have a finite fit.
    The slope stays positive, whatever the films say: a calibration never turns a model round.
    """
    wide_n, positives = logits_n.astype(np.float64), int(labels_n.sum())
    negatives = labels_n.size - positives
    targets_n = np.where(labels_n == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(values: np.ndarray) -> float:
        shifted_n = wide_n / np.exp(values[0]) + values[1]
        likelihood_n = targets_n * log_expit(shifted_n) + (1 - targets_n) * log_expit(-shifted_n)
        return float(-likelihood_n.mean())

    # From the best temperature: far from it a logit of hundreds leaves no gradient to go by.
    start = [np.log(fit_temperature(logits_n[:, None], labels_n)), 0.0]
    bounds = [(np.log(_LOWEST), np.log(_HIGHEST)), (None, None)]
    found = minimize(loss, start, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-14})
    return Calibrator(float(np.exp(found.x[0])), Platt(intercept=float(found.x[1])))


def fit_isotonic(given_n: np.ndarray, labels_n: np.ndarray) -> Isotonic:
    """
    The rising curve that fits validation films best, through temperature-scaled probabilities.

    After the temperature as in Zhang, Kailkhura and Han, 2020, https://arxiv.org/abs/2003.07329,
    so that the stretches between points are nearly straight. Isotonic regression makes steps, on
    which films of different scores would tie: each step becomes the one point in its middle
    (centred isotonic regression, Oron and Flournoy, 2017). And no share is 0 or 1: by the rule of
    succession one more film may always be the other way.
    """
    films = labels_n.size
    step_n = IsotonicRegression().fit_transform(given_n, labels_n)
    shares_s, step_n = np.unique(step_n, return_inverse=True)
    observed_s = np.clip(shares_s, 1 / (films + 2), (films + 1) / (films + 2))
    given_s = np.bincount(step_n, given_n) / np.bincount(step_n)
    # Of steps at the very end, where probabilities are 0 or 1 already, none stands beside the end.
    inner_s = (given_s > 0) & (given_s < 1)
    return Isotonic(
        given=(0.0, *given_s[inner_s].tolist(), 1.0),
        observed=(0.0, *observed_s[inner_s].tolist(), 1.0),
    )


def assess(
    logits_nk: np.ndarray, labels_n: np.ndarray, patients_n: np.ndarray, method: Method
) -> dict[str, Any]:
    """
    What a method is worth on films that it was not fitted on: ``before`` and ``after`` it.

    Cross-fitted by patient, in ``folds``: on its own films a curve of many points would always
    look perfect. 0 folds: a class has too few patients, and the figures are of the fit itself.
    """
    classes = max(2, logits_nk.shape[1])
    parts = folds.by_patient(labels_n, patients_n, classes)
    given_nk = fit(logits_nk, labels_n, method)(logits_nk)
    for learned, judged in parts:
        fitted = fit(logits_nk[learned], labels_n[learned], method)
        given_nk[judged] = fitted(logits_nk[judged])
    return {
        "before": summary(labels_n, probability.of_classes(logits_nk)),
        "after": summary(labels_n, given_nk),
        "folds": len(parts),
    }


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
