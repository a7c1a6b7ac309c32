"""Temperature and calibration error, on labels drawn from known probabilities."""

import warnings

import numpy as np
import pytest

from lucency.evaluation.calibration import (
    expected_calibration_error,
    fit_temperature,
    sigmoid,
    summary,
)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_known_temperature_is_found(temperature: float) -> None:
    """Labels drawn at a temperature give it back."""
    generator = np.random.default_rng(0)
    logits_n = generator.normal(scale=3.0, size=20_000)
    labels_n = generator.random(20_000) < sigmoid(logits_n / temperature)

    found = fit_temperature(logits_n, labels_n)

    assert found == pytest.approx(temperature, rel=0.05)


def test_temperature_changes_no_rank() -> None:
    """Calibrated probabilities have the order of the logits, so AUROC stays."""
    generator = np.random.default_rng(1)
    logits_n = generator.normal(scale=4.0, size=300).astype(np.float32)
    labels_n = generator.random(300) < 0.3

    calibrated = sigmoid(logits_n / fit_temperature(logits_n, labels_n))

    assert np.array_equal(np.argsort(calibrated), np.argsort(logits_n))


def test_temperature_never_makes_the_likelihood_worse() -> None:
    """The fit is at least as good as leaving the logits alone."""
    generator = np.random.default_rng(2)
    logits_n = generator.normal(scale=8.0, size=500)
    labels_n = generator.random(500) < 0.5

    def loss(temperature: float) -> float:
        scaled = logits_n / temperature
        return float(np.mean(np.logaddexp(0, scaled) - labels_n * scaled))

    assert loss(fit_temperature(logits_n, labels_n)) <= loss(1.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_temperature_stays_in_its_range(sign: int) -> None:
    """Logits that are all right, or all wrong, give an end of the range, not 0 or infinity."""
    logits_n = np.array([-2.0, -1.0, 1.0, 2.0])

    found = fit_temperature(sign * logits_n, np.array([0, 0, 1, 1]))

    assert 0.05 <= found <= 20.0


def test_sigmoid_takes_any_logit() -> None:
    """Logits of thousands give 0 and 1 without a warning of overflow."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sigmoid(np.array([-5000.0, -1.0, 0.0, 1.0, 5000.0], dtype=np.float32))

    assert found.dtype == np.float64
    assert found == pytest.approx([0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1])


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

    found = summary(np.array(labels), probabilities_n)

    assert set(found) == {"ece", "brier"}
    assert found["brier"] == pytest.approx(float(np.mean((probabilities_n - labels) ** 2)))
