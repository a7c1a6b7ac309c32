"""Logits become probabilities, the same for serving and evaluation."""

import warnings

import numpy as np
import pytest
from scipy.special import expit, softmax

from lucency.evaluation.probability import of_classes, sigmoid


def test_sigmoid_takes_any_logit() -> None:
    """Logits of thousands give 0 and 1 without a warning of overflow."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sigmoid(np.array([-5000.0, -1.0, 0.0, 1.0, 5000.0], dtype=np.float32))

    assert found.dtype == np.float64
    assert found == pytest.approx([0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("classes", [3, 10])
def test_many_classes_are_the_softmax(classes: int, temperature: float) -> None:
    """Probabilities are SciPy's softmax of the logits over the temperature."""
    logits_nk = np.random.default_rng(classes).normal(scale=4, size=(50, classes))

    found = of_classes(logits_nk, temperature)

    np.testing.assert_allclose(found, softmax(logits_nk / temperature, axis=1), rtol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_one_logit_is_the_second_class(temperature: float) -> None:
    """Two classes with one logit: its sigmoid second, the rest first."""
    logits_nk = np.random.default_rng(0).normal(scale=4, size=(50, 1))

    found = of_classes(logits_nk, temperature)

    np.testing.assert_allclose(found[:, 1], expit(logits_nk[:, 0] / temperature), rtol=1e-12)
    np.testing.assert_allclose(found[:, 0], expit(-logits_nk[:, 0] / temperature), rtol=1e-12)


@pytest.mark.parametrize("classes", [1, 3])
def test_extreme_logits_stay_probabilities(classes: int) -> None:
    """Logits of thousands, float32, give rows that sum to 1 without a warning."""
    logits_nk = np.array([[9000.0, -9000.0, 0.0], [-9000.0, 1.0, 9000.0]], dtype=np.float32)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = of_classes(logits_nk[:, :classes])

    assert found.dtype == np.float64
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found.max(axis=1) == pytest.approx([1, 1])


def test_temperature_moves_no_class_past_another() -> None:
    """However far logits are scaled, the order of the classes of each film stays."""
    logits_nk = np.random.default_rng(1).normal(size=(100, 5))

    ranks = [of_classes(logits_nk, value).argsort(axis=1) for value in (0.3, 1.0, 8.0)]

    assert all(np.array_equal(ranks[0], other) for other in ranks[1:])
