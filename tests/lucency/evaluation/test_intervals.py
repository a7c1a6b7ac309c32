"""Intervals by patient, held against textbook formulas, scikit-learn and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from lucency.evaluation import intervals
from lucency.evaluation.intervals import UNKNOWN, auroc, mean_auroc, proportion

Z = 1.959963984540054


@pytest.mark.parametrize(("hits", "n"), [(1, 2), (3, 20), (57, 60), (199, 400)])
def test_one_film_a_patient_is_wilson(hits: int, n: int) -> None:
    """Films that are independent have the interval that SciPy gives for a proportion."""
    hits_n = np.arange(n) < hits
    expected = binomtest(hits, n).proportion_ci(method="wilson")

    found = proportion(hits_n, np.arange(n))

    assert found.value == hits / n
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.parametrize("n", [1, 10, 385])
def test_bound_of_all_hits_is_not_one(n: int) -> None:
    """n hits of n films of n patients have the lower bound n / (n + z**2)."""
    found = proportion(np.ones(n, dtype=bool), np.arange(n))

    assert found.lower == pytest.approx(n / (n + Z**2))
    assert (found.value, found.upper) == (1.0, 1.0)


@pytest.mark.parametrize("hits", [0, 1])
def test_share_lies_in_its_own_interval(hits: int) -> None:
    """All hits, or none, of any number of films: rounding puts no bound past the share."""
    for n in range(1, 600):
        found = proportion(np.full(n, bool(hits)), np.arange(n))

        assert found.lower <= found.value <= found.upper


def test_films_that_agree_count_as_their_patients() -> None:
    """All hits, three films each of ten patients: the bound is that of ten films."""
    found = proportion(np.ones(30, dtype=bool), np.repeat(np.arange(10), 3))

    assert found.lower == pytest.approx(10 / (10 + Z**2))


def test_no_hits_mirror_all_hits() -> None:
    """The interval of the misses is that of the hits turned round."""
    hits_n = np.zeros(12, dtype=bool)
    patients_n = np.repeat(np.arange(4), 3)

    none, every = proportion(hits_n, patients_n), proportion(~hits_n, patients_n)

    assert (none.lower, none.upper) == pytest.approx((1 - every.upper, 1 - every.lower))


def test_clustered_films_widen_the_interval() -> None:
    """Five films a patient that agree with each other are worth about one."""
    hits_n = np.repeat(np.arange(40) < 34, 5)

    independent = proportion(hits_n, np.arange(200))
    clustered = proportion(hits_n, np.repeat(np.arange(40), 5))
    patients = proportion(hits_n[::5], np.arange(40))

    assert clustered.value == independent.value
    assert clustered.lower < independent.lower
    assert clustered.upper > independent.upper
    assert clustered.lower == pytest.approx(patients.lower, abs=5e-3)


def test_films_never_narrow_the_interval() -> None:
    """Patients more alike than chance allows do not make films worth more than one each."""
    hits_n = np.tile([True, False], 50)

    alike = proportion(hits_n, np.repeat(np.arange(50), 2))
    independent = proportion(hits_n, np.arange(100))

    assert alike.lower == pytest.approx(independent.lower)
    assert alike.upper == pytest.approx(independent.upper)


def test_order_and_names_of_patients_do_not_matter() -> None:
    """Shuffled films, and patients named by text, give the same interval."""
    generator = np.random.default_rng(0)
    hits_n = generator.random(60) < 0.8
    patients_n = generator.integers(0, 20, 60)
    order = generator.permutation(60)

    found = proportion(hits_n[order], np.array([f"P{number}" for number in patients_n])[order])

    assert found == proportion(hits_n, patients_n)


def test_higher_confidence_is_wider() -> None:
    """A 99 % interval contains the 90 % interval."""
    hits_n = np.arange(50) < 40

    wide, narrow = (proportion(hits_n, np.arange(50), level) for level in (0.99, 0.9))

    assert wide.lower < narrow.lower < narrow.value < narrow.upper < wide.upper


def test_nothing_to_count_is_unknown() -> None:
    """No films give NaN and no division by zero."""
    found = proportion(np.array([], dtype=bool), np.array([]))

    assert found is UNKNOWN
    assert math.isnan(found.value)


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_interval_covers_what_it_says(share: float) -> None:
    """Of 600 simulated sets of clustered films 92 to 98 % of the intervals hold the truth."""
    generator = np.random.default_rng(1)
    strength = 3.0  # correlation of two films of a patient: 1 / (1 + 3)
    covered = 0
    for _ in range(600):
        shares = generator.beta(share * strength, (1 - share) * strength, size=120)
        patients_n = np.repeat(np.arange(120), generator.integers(1, 6, size=120))
        found = proportion(generator.random(patients_n.size) < shares[patients_n], patients_n)
        covered += found.lower <= share <= found.upper

    assert 0.92 <= covered / 600 <= 0.98


@pytest.mark.parametrize("levels", [3, 10, 10_000])
def test_area_equals_scikit_learn(levels: int) -> None:
    """The point estimate is the area under the ROC curve, with few or many ties."""
    generator = np.random.default_rng(levels)
    labels_n = generator.integers(0, 2, 200)
    scores_n = np.round((generator.random(200) + 0.4 * labels_n) * levels) / levels

    found = auroc(labels_n, scores_n, np.arange(200), rounds=20)

    assert found.value == pytest.approx(roc_auc_score(labels_n, scores_n), abs=1e-12)


def test_bootstrap_equals_drawing_films_by_hand() -> None:
    """Weights instead of copies: the bounds are near those of scikit-learn on drawn patients."""
    generator = np.random.default_rng(2)
    labels_n = np.repeat(generator.integers(0, 2, 60), 2)
    scores_n = np.round(generator.normal(size=120) + labels_n, 1)
    values = []
    for _ in range(400):
        films = (2 * generator.integers(0, 60, 60)[:, None] + np.arange(2)).ravel()
        values.append(roc_auc_score(labels_n[films], scores_n[films]))

    found = auroc(labels_n, scores_n, np.repeat(np.arange(60), 2), rounds=1000)

    expected = np.quantile(values, [0.025, 0.975])
    assert (found.lower, found.upper) == pytest.approx(tuple(expected), abs=0.03)


def test_second_films_of_the_same_look_add_nothing() -> None:
    """A set whose every film is there three times has the interval of the set itself."""
    generator = np.random.default_rng(3)
    labels_n = generator.integers(0, 2, 40)
    scores_n = generator.random(40) + 0.3 * labels_n
    patients_n = np.arange(40)

    once = auroc(labels_n, scores_n, patients_n)
    thrice = auroc(*(np.repeat(values, 3) for values in (labels_n, scores_n, patients_n)))

    assert (thrice.lower, thrice.upper) == pytest.approx((once.lower, once.upper))


def test_area_of_the_same_films_is_the_same() -> None:
    """The bootstrap is seeded: a report made twice shows the same figures."""
    labels_n = np.tile([0, 1], 20)
    scores_n = np.arange(40) % 7 + labels_n

    first, second = (auroc(labels_n, scores_n, np.arange(40), rounds=50) for _ in range(2))

    assert first == second
    assert first.lower < first.value < first.upper


def test_area_of_one_class_is_unknown() -> None:
    """Without negatives there is nothing to rank against."""
    found = auroc(np.ones(5), np.arange(5.0), np.arange(5))

    assert found is UNKNOWN


def test_draws_without_both_classes_are_left_out() -> None:
    """With one positive patient a third of the draws lack him; the bounds stay numbers."""
    labels_n = np.array([1, 0, 0, 0])

    found = auroc(labels_n, np.array([0.9, 0.1, 0.2, 0.95]), np.arange(4))

    assert 0 <= found.lower <= found.value <= found.upper <= 1


def of_classes(seed: int, films: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, rounded probabilities that sum to 1, patients of two films each."""
    generator = np.random.default_rng(seed)
    labels_n = np.r_[np.arange(classes), generator.integers(0, classes, films - classes)]
    odds_nk = np.round(generator.random((films, classes)) + np.eye(classes)[labels_n], 1) + 0.1
    return labels_n, odds_nk / odds_nk.sum(axis=1, keepdims=True), np.arange(films) // 2


@pytest.mark.parametrize("classes", [3, 10])
def test_mean_area_equals_scikit_learn(classes: int) -> None:
    """The point estimate is scikit-learn's mean of each class against the rest."""
    labels_n, given_nk, patients_n = of_classes(classes, 200, classes)

    found = mean_auroc(labels_n, given_nk, patients_n, positives=range(classes), rounds=200)

    expected = roc_auc_score(labels_n, given_nk, multi_class="ovr", average="macro")
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.lower < found.value < found.upper


def test_mean_area_of_one_column_is_the_area() -> None:
    """One class against the rest has the interval of two classes, bounds and all."""
    labels_n, given_nk, patients_n = of_classes(1, 120, 3)

    one = mean_auroc(labels_n, given_nk[:, 2:], patients_n, positives=(2,), rounds=300)

    assert one == auroc((labels_n == 2).astype(int), given_nk[:, 2], patients_n, rounds=300)


@pytest.mark.parametrize("weights", [1, 5_000, 12_345])
def test_rounds_in_parts_are_the_same_rounds(monkeypatch: pytest.MonkeyPatch, weights: int) -> None:
    """However little memory a part may take, the bounds are those of all rounds at once."""
    labels_n, given_nk, patients_n = of_classes(2, 100, 3)
    whole = mean_auroc(labels_n, given_nk, patients_n, positives=range(3), rounds=150)

    monkeypatch.setattr(intervals, "_WEIGHTS", weights)
    parts = mean_auroc(labels_n, given_nk, patients_n, positives=range(3), rounds=150)

    assert parts == whole


def test_mean_area_without_a_class_is_unknown() -> None:
    """A class that no film belongs to has no area, so the mean of all has none, and no warning."""
    labels_n, given_nk, patients_n = of_classes(3, 60, 3)
    labels_n[labels_n == 1] = 0

    assert mean_auroc(labels_n, given_nk, patients_n, positives=range(3)) is UNKNOWN


def test_draws_that_all_lack_a_class_give_no_bounds() -> None:
    """Twelve classes of one patient each are in no draw together: a value without bounds."""
    found = mean_auroc(np.arange(12), np.eye(12), np.arange(12), positives=range(12), rounds=50)

    assert found.value == 1.0
    assert math.isnan(found.lower)
    assert math.isnan(found.upper)
