"""One model against another: the differences, and how sure they are."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lucency.evaluation import against


def films(gain: float, patients: int = 150) -> tuple[np.ndarray, ...]:
    """Labels, probabilities of a model and of one that separates less by ``gain``, patients."""
    generator = np.random.default_rng(7)
    labels_n = np.repeat(generator.integers(0, 2, patients), 2)
    noise_n = np.repeat(generator.normal(size=patients), 2) + generator.normal(size=2 * patients)
    own_mn = 0.5 * generator.normal(size=(2, 2 * patients))
    logits_mn = noise_n + own_mn + labels_n * np.array([[2.0 + gain], [2.0]]) - 1
    first_n, second_n = 1 / (1 + np.exp(-logits_mn))
    return labels_n, first_n, second_n, np.repeat(np.arange(patients), 2)


def test_differences_are_those_of_the_figures() -> None:
    """Each is the first model's figure less the other's, at each one's own threshold."""
    labels_n, first_n, second_n, patients_n = films(0.5)

    found = against.of_two(
        labels_n, first_n, second_n, patients_n, thresholds=(0.4, 0.6), confidence=0.95
    )

    positive = labels_n == 1
    sensitivity = (first_n >= 0.4)[positive].mean() - (second_n >= 0.6)[positive].mean()
    specificity = (first_n < 0.4)[~positive].mean() - (second_n < 0.6)[~positive].mean()
    area = roc_auc_score(labels_n, first_n) - roc_auc_score(labels_n, second_n)
    assert found["sensitivity"]["value"] == pytest.approx(sensitivity)
    assert found["specificity"]["value"] == pytest.approx(specificity)
    assert found["auroc"]["value"] == pytest.approx(area)


@pytest.mark.parametrize(("gain", "sure"), [(1.5, True), (0.0, False)])
def test_only_a_real_gain_is_sure(gain: float, sure: bool) -> None:
    """The interval of the difference leaves out zero where the first model is better."""
    labels_n, first_n, second_n, patients_n = films(gain)

    found = against.of_two(
        labels_n, first_n, second_n, patients_n, thresholds=(0.5, 0.5), confidence=0.95
    )

    assert (found["auroc"]["lower"] > 0) is sure
    assert (found["sensitivity"]["lower"] > 0) is sure
    assert (found["p_value"] < 0.05) is sure


def test_paired_difference_is_surer_than_two_intervals() -> None:
    """Both models meet the same hard films, which cancels out."""
    labels_n, first_n, second_n, patients_n = films(0.0)

    found = against.of_two(
        labels_n, first_n, second_n, patients_n, thresholds=(0.5, 0.5), confidence=0.95
    )

    positive = labels_n == 1
    each = (first_n >= 0.5)[positive]
    alone = 2 * 1.96 * np.sqrt(2 * each.mean() * (1 - each.mean()) / each.size)
    assert found["sensitivity"]["upper"] - found["sensitivity"]["lower"] < 0.8 * alone


def test_model_of_many_classes_is_compared_by_accuracy() -> None:
    """Three films of four right against two: a quarter more."""
    labels_n = np.array([0, 1, 2, 2])
    first_nk, second_nk = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 1, 0, 1]]

    found = against.of_many(labels_n, first_nk, second_nk, np.arange(4), confidence=0.95)

    assert found["accuracy"]["value"] == 0.25
    assert against.lines(found)[0].startswith("accuracy +0.2500 (")


def test_lines_are_for_people() -> None:
    """Signs are shown, and what could not be compared is left out."""
    figure = {"value": 0.0123, "lower": -0.004, "upper": 0.03}
    unknown = dict.fromkeys(figure)

    found = against.lines({"auroc": figure, "p_value": 0.04, "sensitivity": unknown})

    assert found == ["auroc +0.0123 (-0.0040 to +0.0300)", "p 0.04 of AUROC"]
