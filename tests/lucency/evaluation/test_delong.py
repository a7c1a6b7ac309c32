"""DeLong's variance, held against its own definition, a bootstrap and simulation."""

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lucency.errors import DataError
from lucency.evaluation import areas, delong
from lucency.evaluation.intervals import Interval


def films(number: int, patients: int, each: int = 1) -> tuple[np.ndarray, ...]:
    """Labels, scores of two models that err alike, patients; films of a patient are alike."""
    generator = np.random.default_rng(number)
    labels_n = np.repeat(generator.integers(0, 2, patients), each)
    shared_n = np.repeat(generator.normal(size=patients), each)
    own_mn = generator.normal(size=(2, labels_n.size))
    scores_mn = labels_n + shared_n + 0.7 * own_mn
    return labels_n, scores_mn[0], scores_mn[1], np.repeat(np.arange(patients), each)


def by_definition(
    labels_n: np.ndarray, scores_n: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Area and structural components from all pairs, as DeLong et al. write them."""
    positives, negatives = scores_n[labels_n == 1], scores_n[labels_n == 0]
    wins = np.array([[float(p > n) + 0.5 * float(p == n) for n in negatives] for p in positives])
    return float(wins.mean()), wins.mean(axis=1), wins.mean(axis=0)


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_variance_is_that_of_the_definition(decimals: int) -> None:
    """With one film a patient: S10 / m + S01 / n over all pairs, ties included."""
    labels_n, scores_n, _, patients_n = films(1, 80)
    scores_n = np.round(scores_n, decimals)
    area, of_positives, of_negatives = by_definition(labels_n, scores_n)
    variance = of_positives.var(ddof=1) / of_positives.size
    variance += of_negatives.var(ddof=1) / of_negatives.size
    half = 1.959963984540054 * math.sqrt(variance) / (area * (1 - area))
    middle = math.log(area / (1 - area))

    found = delong.auroc(labels_n, scores_n, patients_n)

    assert found.value == pytest.approx(roc_auc_score(labels_n, scores_n), abs=1e-12)
    assert found.lower == pytest.approx(1 / (1 + math.exp(half - middle)), abs=1e-9)
    assert found.upper == pytest.approx(1 / (1 + math.exp(-half - middle)), abs=1e-9)


def test_difference_has_the_covariance_of_the_definition() -> None:
    """z of two correlated areas, from the 2 x 2 covariance of their components."""
    labels_n, first_n, second_n, patients_n = films(2, 90)
    area, of_positives, of_negatives = by_definition(labels_n, first_n)
    other, other_positives, other_negatives = by_definition(labels_n, second_n)
    covariance = np.cov(of_positives, other_positives) / of_positives.size
    covariance = covariance + np.cov(of_negatives, other_negatives) / of_negatives.size
    apart = area - other
    deviation = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])

    found = delong.compare(labels_n, first_n, second_n, patients_n)

    assert found.interval.value == pytest.approx(apart, abs=1e-12)
    half = 1.959963984540054 * deviation
    assert found.interval.lower == pytest.approx(apart - half, abs=1e-9)
    assert found.p_value == pytest.approx(
        math.erfc(abs(apart / deviation) / math.sqrt(2)), abs=1e-9
    )


def test_films_of_a_patient_widen_the_interval_as_a_bootstrap_does() -> None:
    """Three alike films each: near the bootstrap by patient, wider than three times as many."""
    labels_n, scores_n, _, patients_n = films(3, 150, each=3)

    found = delong.auroc(labels_n, scores_n, patients_n)
    drawn = areas.auroc(labels_n, scores_n, patients_n)
    careless = delong.auroc(labels_n, scores_n, np.arange(labels_n.size))

    assert (found.lower, found.upper) == pytest.approx((drawn.lower, drawn.upper), abs=0.01)
    assert found.upper - found.lower > 1.2 * (careless.upper - careless.lower)


def test_interval_covers_what_it_says() -> None:
    """Of 400 simulated sets of clustered films 93 to 97 % of the intervals hold the truth."""
    # Normal scores one apart, shared and own variance 1 + 0.49 for each of the two films.
    truth = 0.5 * (1 + math.erf(1 / math.sqrt(2 * 1.49) / math.sqrt(2)))
    covered = 0
    for number in range(400):
        labels_n, scores_n, _, patients_n = films(1000 + number, 120, each=2)
        found = delong.auroc(labels_n, scores_n, patients_n)
        covered += found.lower <= truth <= found.upper

    assert 0.93 <= covered / 400 <= 0.97


def test_test_of_equal_models_errs_as_often_as_it_says() -> None:
    """Of 400 pairs of models that are equally good about one in twenty has p < 0.05."""
    wrong = 0
    for number in range(400):
        labels_n, first_n, second_n, patients_n = films(5000 + number, 100, each=2)
        wrong += delong.compare(labels_n, first_n, second_n, patients_n).p_value < 0.05

    assert 0.02 <= wrong / 400 <= 0.08


def test_model_is_no_better_than_itself() -> None:
    """The difference is 0 for certain, and p is 1."""
    labels_n, scores_n, _, patients_n = films(4, 40)

    found = delong.compare(labels_n, scores_n, scores_n, patients_n)

    assert (found.interval, found.p_value) == (Interval(0.0, 0.0, 0.0), 1.0)


def test_perfect_order_has_no_variance() -> None:
    """Where every positive is above every negative the method can give no interval."""
    labels_n = np.repeat([0, 1], 5)

    assert delong.auroc(labels_n, np.arange(10.0), np.arange(10)) == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("labels", "patients"),
    [([1, 1, 1], [0, 1, 2]), ([0, 0, 1], [0, 1, 2]), ([0, 0, 1, 1], [0, 0, 1, 2]), ([], [])],
)
def test_class_of_one_patient_is_refused(labels: list[int], patients: list[int]) -> None:
    """One patient says nothing about how patients differ."""
    scores_n = np.array(list(itertools.islice(itertools.count(0.0), len(labels))))

    with pytest.raises(DataError, match="two patients of each class"):
        delong.auroc(np.array(labels), scores_n, np.array(patients))
