"""Calibration and its error, on labels drawn from known probabilities."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from lucency.errors import DataError
from lucency.evaluation.calibrated import Isotonic, Method, Platt
from lucency.evaluation.calibration import (
    assess,
    expected_calibration_error,
    fit,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    summary,
)
from lucency.evaluation.probability import of_classes, sigmoid


def drawn(seed: int, films: int, classes: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax at a temperature."""
    generator = np.random.default_rng(seed)
    logits_nk = generator.normal(scale=3.0, size=(films, classes))
    shares_nk = softmax(logits_nk / temperature, axis=1).cumsum(axis=1)
    return logits_nk, (generator.random((films, 1)) > shares_nk).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_known_temperature_is_found(temperature: float) -> None:
    """Labels drawn at a temperature give it back."""
    generator = np.random.default_rng(0)
    logits_n = generator.normal(scale=3.0, size=20_000)
    labels_n = (generator.random(20_000) < sigmoid(logits_n / temperature)).astype(int)

    found = fit_temperature(logits_n[:, None], labels_n)

    assert found == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("classes", [3, 10])
def test_known_temperature_of_many_classes_is_found(classes: int, temperature: float) -> None:
    """So do labels of more than two classes."""
    logits_nk, labels_n = drawn(classes, 10_000, classes, temperature)

    assert fit_temperature(logits_nk, labels_n) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_temperature_is_that_of_a_reference_optimiser(classes: int) -> None:
    """Nelder-Mead on scikit-learn's log loss finds the same temperature."""
    logits_nk, labels_n = drawn(classes, 400, classes, 2.0)

    def loss(log_temperature: np.ndarray) -> float:
        given_nk = softmax(logits_nk / np.exp(log_temperature[0]), axis=1)
        return float(log_loss(labels_n, given_nk, labels=range(classes)))

    expected = np.exp(minimize(loss, [0.0], method="Nelder-Mead").x[0])

    assert fit_temperature(logits_nk, labels_n) == pytest.approx(expected, rel=1e-3)


def test_one_logit_is_two_with_the_first_at_zero() -> None:
    """The one logit of two classes has the temperature that the pair (0, logit) has."""
    logits_nk, labels_n = drawn(5, 500, 2, 1.7)
    difference_n1 = logits_nk[:, 1:] - logits_nk[:, :1]

    found = fit_temperature(difference_n1, labels_n)

    assert found == pytest.approx(fit_temperature(logits_nk, labels_n), rel=1e-6)


def test_temperature_changes_no_rank() -> None:
    """Calibrated probabilities have the order of the logits, so AUROC stays."""
    generator = np.random.default_rng(1)
    logits_nk = generator.normal(scale=4.0, size=(300, 1)).astype(np.float32)
    labels_n = (generator.random(300) < 0.3).astype(int)

    calibrated_nk = of_classes(logits_nk, fit_temperature(logits_nk, labels_n))

    assert np.array_equal(np.argsort(calibrated_nk[:, 1]), np.argsort(logits_nk[:, 0]))


@pytest.mark.parametrize("classes", [1, 4])
def test_temperature_never_makes_the_likelihood_worse(classes: int) -> None:
    """The fit is at least as good as leaving the logits alone."""
    generator = np.random.default_rng(2)
    logits_nk = generator.normal(scale=8.0, size=(500, classes))
    labels_n = generator.integers(0, max(2, classes), 500)

    def loss(temperature: float) -> float:
        return float(log_loss(labels_n, of_classes(logits_nk, temperature)))

    assert loss(fit_temperature(logits_nk, labels_n)) <= loss(1.0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("classes", [1, 3])
def test_temperature_stays_in_its_range(sign: int, classes: int) -> None:
    """Logits that are all right, or all wrong, give an end of the range, not 0 or infinity."""
    labels_n = np.array([0, 0, 1, 1])
    right_nk = np.where(labels_n == 1, 2.0, -2.0)[:, None] if classes == 1 else np.eye(3)[labels_n]

    found = fit_temperature(sign * right_nk, labels_n)

    assert 0.05 <= found < 0.06 if sign == 1 else 19 < found <= 20.0


def shifted(films: int, seed: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Logits that foretell too few positives, and labels."""
    generator = np.random.default_rng(seed)
    logits_nk = generator.normal(scale=3.0, size=(films, 1))
    truth_n = generator.random(films) < sigmoid(logits_nk[:, 0] / 1.5 + 2.0)
    return logits_nk, truth_n.astype(int)


def test_platt_is_that_of_a_reference() -> None:
    """Scikit-learn's logistic regression on Platt's own targets has the same slope and shift."""
    logits_nk, labels_n = shifted(400)
    positives = labels_n.sum()
    over, under = (positives + 1) / (positives + 2), 1 / (400 - positives + 2)
    targets_n = np.where(labels_n == 1, over, under)
    reference = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(
        np.concatenate([logits_nk, logits_nk]),
        np.repeat([1, 0], 400),
        np.concatenate([targets_n, 1 - targets_n]),
    )

    found = fit_platt(logits_nk[:, 0], labels_n)

    assert isinstance(found.calibration, Platt)
    assert 1 / found.temperature == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert found.calibration.intercept == pytest.approx(reference.intercept_[0], rel=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_platt_of_films_told_apart_without_error_is_finite(sign: int) -> None:
    """All right or all wrong: a slope that is positive, and a shift that is a number."""
    labels_n = np.arange(40) % 2

    found = fit_platt(sign * (20.0 * labels_n - 10), labels_n)

    assert isinstance(found.calibration, Platt)
    assert 0.05 <= found.temperature <= 20.0
    assert abs(found.calibration.intercept) < 10


def test_points_of_the_curve_are_the_middles_of_its_steps() -> None:
    """Where scikit-learn's isotonic regression is flat, one point; its share is that step's."""
    given_n = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9])
    labels_n = np.array([0, 1, 0, 0, 1, 1, 1])
    steps_n = IsotonicRegression().fit_transform(given_n, labels_n)

    found = fit_isotonic(given_n, labels_n)

    assert steps_n.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 1, 1, 1])
    assert found.given == pytest.approx((0, 0.1, 1.1 / 3, 0.8, 1))
    # Seven films: where none of them was positive, one of nine more may be.
    assert found.observed == pytest.approx((0, 1 / 9, 1 / 3, 8 / 9, 1))


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        ([0.0, 0.0, 1.0, 1.0], [0, 1, 0, 1]),
        ([0.3, 0.3, 0.3, 0.3], [0, 1, 0, 1]),
        ([0.1, 0.2, 0.3, 0.4], [1, 1, 0, 0]),
        ([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 0]),
    ],
)
def test_any_films_have_a_curve(given: list[float], labels: list[int]) -> None:
    """Ends, ties, turned round or of one class: it rises, and only its ends are 0 and 1."""
    found = fit_isotonic(np.array(given), np.array(labels))

    assert (found.observed[0], found.observed[-1]) == (0, 1)
    assert all(0 < share < 1 for share in found.observed[1:-1])


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_shift_is_mended_by_what_is_more_than_a_temperature(method: Method) -> None:
    """On films apart the error is a fraction of the temperature's, and AUROC is the same."""
    logits_nk, labels_n = shifted(4000)

    alone = assess(logits_nk, labels_n, np.arange(4000), "temperature")
    found = assess(logits_nk, labels_n, np.arange(4000), method)
    given_n = fit(logits_nk, labels_n, method)(logits_nk)[:, 1]

    assert found["after"]["ece"] < alone["after"]["ece"] / 3
    assert found["after"]["brier"] < alone["after"]["brier"]
    assert roc_auc_score(labels_n, given_n) == roc_auc_score(labels_n, logits_nk[:, 0])


def test_curve_is_not_judged_on_its_own_films() -> None:
    """Labels of pure chance: fitted to them a curve looks good, on films apart it is worse."""
    generator = np.random.default_rng(7)
    logits_nk, labels_n = generator.normal(size=(80, 1)), generator.integers(0, 2, 80)

    found = assess(logits_nk, labels_n, np.arange(80), "isotonic")

    fitted = fit(logits_nk, labels_n, "isotonic")
    assert isinstance(fitted.calibration, Isotonic)
    assert found["folds"] == 5
    assert found["after"]["brier"] > summary(labels_n, fitted(logits_nk))["brier"] + 0.005


def test_too_few_patients_are_said() -> None:
    """Without folds the figures are of the fit itself, and that is told."""
    logits_nk, labels_n = np.arange(6.0)[:, None], np.array([1, 0, 0, 0, 0, 0])

    found = assess(logits_nk, labels_n, np.arange(6), "temperature")

    assert found["folds"] == 0
    assert found["after"] == summary(labels_n, fit(logits_nk, labels_n)(logits_nk))


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_more_than_two_classes_have_a_temperature_alone(method: Method) -> None:
    """The refusal says what to give instead."""
    logits_nk, labels_n = drawn(0, 30, 3, 1.0)

    with pytest.raises(DataError, match=r"for two classes, here are 3: give calibration=temp"):
        fit(logits_nk, labels_n, method)


def test_perfect_calibration_has_no_error() -> None:
    """Where of the films with probability p the share p is positive, the error is zero."""
    probabilities_n = np.repeat(np.arange(10) / 10, 100)
    labels_n = np.tile(np.arange(100), 10) < np.repeat(np.arange(10) * 10, 100)
    mixed = np.random.default_rng(3).permutation(1000)

    error = expected_calibration_error(labels_n[mixed], probabilities_n[mixed])

    assert error == pytest.approx(0.0)


def test_overconfidence_is_measured() -> None:
    """Films called 0.9 of which half are positive are off by 0.4."""
    labels_n = np.tile([0, 1], 50)

    assert expected_calibration_error(labels_n, np.full(100, 0.9)) == pytest.approx(0.4)


def test_bins_hold_equal_numbers_of_films() -> None:
    """Nine good films and one wild one in ten bins: the error is a tenth of the wild one's."""
    probabilities_n = np.array([0.0] * 9 + [0.8])

    found = expected_calibration_error(np.zeros(10), probabilities_n)

    assert found == pytest.approx(0.08)


def test_fewer_films_than_bins_are_no_error() -> None:
    """Two films make two bins."""
    found = expected_calibration_error(np.array([0, 1]), np.array([0.25, 0.75]))

    assert found == pytest.approx(0.25)


@pytest.mark.parametrize("labels", [[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_summary_is_plain_numbers(labels: list[int]) -> None:
    """Both figures are given, also when one class is missing."""
    probabilities_n = np.array([0.2, 0.7, 0.9, 0.4])

    found = summary(np.array(labels), np.stack([1 - probabilities_n, probabilities_n], axis=1))

    assert set(found) == {"ece", "brier"}
    assert found["brier"] == pytest.approx(float(np.mean((probabilities_n - labels) ** 2)))
    assert found["ece"] == pytest.approx(
        expected_calibration_error(np.array(labels), probabilities_n)
    )


def test_summary_of_many_classes_is_of_the_calls() -> None:
    """Films called with 0.7 of which a quarter is wrong: 0.05 off, and Brier by hand."""
    probabilities_nk = np.array([[0.7, 0.2, 0.1]] * 40)
    labels_n = np.tile([0, 0, 0, 2], 10)

    found = summary(labels_n, probabilities_nk)

    right, wrong = 0.3**2 + 0.2**2 + 0.1**2, 0.7**2 + 0.2**2 + 0.9**2
    assert found["ece"] == pytest.approx(0.05)
    assert found["brier"] == pytest.approx((3 * right + wrong) / 4)
