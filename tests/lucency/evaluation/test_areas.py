"""Areas under curves, held against scikit-learn and against drawing patients by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from lucency import seed
from lucency.evaluation import bootstrap
from lucency.evaluation.areas import auprc, auroc, mean_auroc
from lucency.evaluation.intervals import UNKNOWN, Interval

Area = Callable[..., Interval]
Reference = Callable[..., Any]


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

    monkeypatch.setattr(bootstrap, "_WEIGHTS", weights)
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


@pytest.mark.parametrize("levels", [3, 10, 10_000])
def test_area_under_precision_and_recall_equals_scikit_learn(levels: int) -> None:
    """Average precision, with few or many ties."""
    generator = np.random.default_rng(levels)
    labels_n = generator.integers(0, 2, 200)
    scores_n = np.round((generator.random(200) + 0.4 * labels_n) * levels) / levels

    found = auprc(labels_n, scores_n, np.arange(200), rounds=20)

    assert found.value == pytest.approx(average_precision_score(labels_n, scores_n), abs=1e-12)


def test_area_without_positives_is_unknown() -> None:
    """Without a positive there is no sensitivity to walk along."""
    assert auprc(np.zeros(4), np.arange(4.0), np.arange(4)) is UNKNOWN


@pytest.mark.parametrize(
    ("area", "reference"), [(auroc, roc_auc_score), (auprc, average_precision_score)]
)
def test_bounds_are_those_of_scikit_learn_with_weights(area: Area, reference: Reference) -> None:
    """Each draw of patients is a weighting of films; scikit-learn takes the same weights."""
    generator = np.random.default_rng(5)
    labels_n = generator.integers(0, 2, 90)
    scores_n = np.round(generator.random(90) + 0.5 * labels_n, 1)
    patients_n = np.repeat(np.arange(30), 3)
    draws_rk = seed.generator(0, "patient bootstrap").multinomial(30, np.full(30, 1 / 30), size=60)
    values = [reference(labels_n, scores_n, sample_weight=k[patients_n]) for k in draws_rk]

    found = area(labels_n, scores_n, patients_n, rounds=60)

    expected = np.quantile(values, [0.025, 0.975])
    assert (found.lower, found.upper) == pytest.approx(tuple(expected), abs=1e-12)
