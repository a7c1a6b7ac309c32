"""The clinical rule: what is judged, and which threshold is taken."""

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_curve

from lucency.evaluation.intervals import Interval
from lucency.evaluation.rule import (
    ClinicalRule,
    at_threshold,
    choose_threshold,
    judge,
    operating_point,
    sensitivity_at_specificity,
    worst_class,
)

RULE = ClinicalRule(sensitivity_floor=0.9, specificity_floor=0.7)
NAN = float("nan")


def scored(seed: int, films: int, gap: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with ties, and patients of two films each."""
    generator = np.random.default_rng(seed)
    labels_n = np.repeat(generator.integers(0, 2, films // 2), 2)
    scores_n = np.round(generator.normal(size=films) + gap * labels_n, 1)
    return labels_n, scores_n, np.repeat(np.arange(films // 2), 2)


def margins(sensitivity: Interval, specificity: Interval) -> tuple[float, float]:
    """Which share of the way from its floor to 1 each lower bound has come."""
    return (sensitivity.lower - 0.9) / 0.1, (specificity.lower - 0.7) / 0.3


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "passed"),
    [
        (Interval(0.95, 0.90, 0.98), Interval(0.70, 0.60, 0.80), True),
        (Interval(0.95, 0.8999, 0.98), Interval(0.90, 0.85, 0.95), False),
        (Interval(0.95, 0.92, 0.98), Interval(0.6999, 0.60, 0.80), False),
        (Interval(NAN, NAN, NAN), Interval(0.90, 0.85, 0.95), False),
        (Interval(0.95, 0.92, 0.98), Interval(NAN, NAN, NAN), False),
    ],
)
def test_lower_bound_of_sensitivity_and_specificity_are_held_to_floors(
    sensitivity: Interval, specificity: Interval, passed: bool
) -> None:
    """A good estimate with a bound under the floor fails, and what is unknown fails."""
    verdict = judge(RULE, sensitivity, specificity)

    assert verdict.passed is passed


def test_reasons_say_figures_and_floors() -> None:
    """A person reads why, without looking anything up."""
    verdict = judge(RULE, Interval(0.95, 0.88, 0.98), Interval(0.75, 0.6, 0.8))

    assert verdict.reasons == (
        "sensitivity 0.9500, lower 95% bound by patient 0.8800, under the floor 0.9",
        "specificity 0.7500, not under the floor 0.7",
    )


def test_score_on_the_threshold_is_positive() -> None:
    """A film whose probability equals the threshold is called positive."""
    sensitivity, specificity = at_threshold(
        np.array([1, 0]), np.array([0.5, 0.5]), np.arange(2), 0.5, 0.95
    )

    assert sensitivity.value == 1.0
    assert specificity.value == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_threshold_keeps_most_distance_from_both_floors(seed: int) -> None:
    """No other threshold has lower bounds whose smaller margin to its floor is larger."""
    labels_n, scores_n, patients_n = scored(seed, 200, gap=2.5)

    def smaller_margin(threshold: float) -> float:
        found = at_threshold(labels_n, scores_n, patients_n, threshold, RULE.confidence)
        return min(margins(*found))

    point = choose_threshold(labels_n, scores_n, patients_n, RULE)

    best = max(smaller_margin(threshold) for threshold in np.unique(scores_n)[1:])
    assert point.threshold is not None
    assert smaller_margin(point.threshold) == pytest.approx(best)


def test_threshold_lies_between_two_scores() -> None:
    """No film of the set stands on the threshold, so rounding elsewhere turns no decision."""
    labels_n, scores_n, patients_n = scored(4, 60, gap=3.0)

    point = choose_threshold(labels_n, scores_n, patients_n, RULE)

    assert np.abs(scores_n - point.threshold).min() > 0.04


def test_rule_that_can_be_met_is_met() -> None:
    """Classes that lie apart give a passed verdict with the figures of the point."""
    labels_n = np.repeat([0, 1], 60)

    point = choose_threshold(labels_n, labels_n + 0.1, np.arange(120), RULE)

    assert point.verdict.passed
    assert (point.sensitivity.value, point.specificity.value) == (1.0, 1.0)
    assert point.threshold is not None
    assert 0.1 < point.threshold < 1.1


def test_rule_that_no_threshold_meets_is_not_passed() -> None:
    """Scores that tell nothing still give a threshold, with a verdict that says no."""
    labels_n, scores_n, patients_n = scored(5, 100, gap=0.0)

    point = choose_threshold(labels_n, scores_n, patients_n, RULE)

    assert not point.verdict.passed
    assert "under the floor" in " ".join(point.verdict.reasons)


def test_too_few_positives_are_not_passed() -> None:
    """Ten positives, all found, can't have a lower bound of 0.9."""
    labels_n = np.repeat([0, 1], [50, 10])

    point = choose_threshold(labels_n, labels_n.astype(float), np.arange(60), RULE)

    assert point.sensitivity.value == 1.0
    assert not point.verdict.passed


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0]])
def test_one_class_alone_is_not_passed(labels: list[int]) -> None:
    """A set without positives or without negatives proves nothing."""
    point = choose_threshold(np.array(labels), np.array([0.1, 0.5, 0.9]), np.arange(3), RULE)

    assert not point.verdict.passed


def test_one_score_for_all_films_is_not_passed() -> None:
    """A model that answers the same to all has one threshold and no verdict in its favour."""
    point = choose_threshold(np.array([0, 1, 0, 1]), np.full(4, 0.3), np.arange(4), RULE)

    assert point.threshold == 0.3
    assert not point.verdict.passed


def test_many_films_are_judged_in_bounded_time() -> None:
    """Of 6,000 distinct scores some thousands are tried: enough for both margins to meet."""
    generator = np.random.default_rng(6)
    labels_n = generator.integers(0, 2, 6_000)
    scores_n = generator.normal(size=6_000) + 4 * labels_n

    point = choose_threshold(labels_n, scores_n, np.arange(6_000), RULE)

    assert point.verdict.passed
    to_sensitivity, to_specificity = margins(point.sensitivity, point.specificity)
    assert to_sensitivity == pytest.approx(to_specificity, abs=0.02)


def called(labels_n: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities that call the given classes."""
    return np.asarray(np.eye(classes)[labels_n] * 0.8 + 0.2 / classes)


def test_worst_class_is_that_of_the_lowest_bound() -> None:
    """Of two classes without a miss the one with fewer films is the worse: less is known."""
    labels_n = np.repeat([0, 1, 2], [50, 8, 30])

    worst, found = worst_class(labels_n, labels_n, np.arange(88), 3, 0.95)

    assert worst == 1
    assert [sensitivity.value for sensitivity, _ in found] == [1.0, 1.0, 1.0]


def test_each_class_is_held_against_all_others() -> None:
    """Sensitivity and specificity of every class are those of a task of two classes."""
    generator = np.random.default_rng(0)
    labels_n, called_n = generator.integers(0, 4, 120), generator.integers(0, 4, 120)
    patients_n = np.arange(120) // 3

    worst, found = worst_class(labels_n, called_n, patients_n, 4, 0.9)

    for label, figures in enumerate(found):
        own, call = (labels_n == label).astype(int), (called_n == label).astype(float)
        assert figures == at_threshold(own, call, patients_n, 0.5, 0.9)
    assert found[worst][0].lower == min(sensitivity.lower for sensitivity, _ in found)


def test_class_without_films_is_the_worst() -> None:
    """A class that no film belongs to is not proven, so the rule is not passed."""
    labels_n = np.repeat([0, 2], 200)

    point = operating_point(labels_n, called(labels_n, 3), np.arange(400), RULE)

    assert worst_class(labels_n, labels_n, np.arange(400), 3, 0.95)[0] == 1
    assert np.isnan(point.sensitivity.value)
    assert not point.verdict.passed


def test_many_classes_have_no_threshold() -> None:
    """The point of three has the lowest sensitivity and, of the class called too often, the
    lowest specificity; the verdict is on these."""
    labels_n = np.repeat([0, 1, 2], 100)
    called_n = np.where(np.arange(300) % 100 < 60, labels_n, 0)

    point = operating_point(labels_n, called(called_n, 3), np.arange(300), RULE)

    assert point.threshold is None
    assert (point.sensitivity.value, point.specificity.value) == (0.6, 0.6)
    assert point.verdict == judge(RULE, point.sensitivity, point.specificity)


def test_two_classes_have_the_chosen_threshold() -> None:
    """Two columns of probabilities are decided by the second one's threshold, as ever."""
    labels_n, scores_n, patients_n = scored(7, 100, gap=2.0)
    given_n = 1 / (1 + np.exp(-scores_n))

    point = operating_point(labels_n, np.stack([1 - given_n, given_n], axis=1), patients_n, RULE)

    assert point == choose_threshold(labels_n, given_n, patients_n, RULE)


@pytest.mark.parametrize("floor", [0.0, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(3))
def test_sensitivity_at_specificity_equals_the_roc_curve(seed: int, floor: float) -> None:
    """The figure is the best of all points on scikit-learn's curve that hold the floor."""
    labels_n, scores_n, _ = scored(seed, 200, gap=1.0)
    false_n, true_n, _ = roc_curve(labels_n, scores_n, drop_intermediate=False)

    found = sensitivity_at_specificity(labels_n, scores_n, floor)

    assert found == pytest.approx(true_n[1 - false_n >= floor - 1e-9].max())


def test_sensitivity_of_one_class_is_unknown() -> None:
    """Without both classes there is no such figure."""
    assert np.isnan(sensitivity_at_specificity(np.ones(3), np.arange(3.0), 0.7))
    assert np.isnan(sensitivity_at_specificity(np.zeros(3), np.arange(3.0), 0.7))


@pytest.mark.parametrize(
    "values", [{"sensitivity_floor": 1.0}, {"specificity_floor": -0.1}, {"confidence": 95}]
)
def test_senseless_rule_is_refused(values: dict[str, float]) -> None:
    """Floors are shares below one; a confidence of 95 is meant as 0.95."""
    with pytest.raises(ValidationError, match=next(iter(values))):
        ClinicalRule(**values)
