"""Figures of corrupted films."""

import numpy as np
import pytest

from lucency.evaluation.rule import ClinicalRule
from lucency.robustness import figures

RULE = ClinicalRule(sensitivity_floor=0.5, specificity_floor=0.5)
LABELS = np.repeat([0, 1], 20)
PATIENTS = np.arange(40).astype(str)


def _two(positive: np.ndarray) -> np.ndarray:
    return np.stack([1 - positive, positive], axis=1)


def _assessed(positive: np.ndarray, threshold: float = 0.5) -> dict[str, object]:
    return figures.assess(LABELS, _two(positive), PATIENTS, threshold=threshold, clinical_rule=RULE)


def test_films_are_chosen_by_whole_patients() -> None:
    """A patient's films are all in or all out, in the table's order, and not more than asked."""
    patients = np.repeat([f"p{number}" for number in range(20)], 3)
    rows = np.arange(100, 160)

    chosen = figures.choose(rows, patients, 10, 0)

    assert len(chosen) == 9
    assert (np.diff(chosen) > 0).all()
    for patient in set(patients[chosen - 100]):
        assert set(rows[patients == patient]) <= set(chosen)


def test_the_seed_chooses_the_patients() -> None:
    """One seed, one choice; another seed, another."""
    rows = np.arange(40)

    first, again, other = (figures.choose(rows, PATIENTS, 10, seed) for seed in (0, 0, 1))

    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_the_threshold_stays_where_it_was() -> None:
    """Scores that all sink keep the ranking, and lose sensitivity at the card's threshold."""
    found = _assessed(np.where(LABELS == 1, 0.4, 0.1))

    assert found["auroc"]["value"] == 1.0  # type: ignore[index]
    assert found["sensitivity"]["value"] == 0.0  # type: ignore[index]
    assert found["specificity"]["value"] == 1.0  # type: ignore[index]
    assert found["passed"] is False


def test_more_classes_have_accuracy_and_the_worst_class() -> None:
    """Of three classes the one that is never called gives the sensitivity, and the rule is lost."""
    labels = np.repeat([0, 1, 2], 10)
    called = np.where(labels == 2, 1, labels)

    found = figures.assess(
        labels, np.eye(3)[called], np.arange(30), threshold=None, clinical_rule=RULE
    )

    assert found["accuracy"]["value"] == pytest.approx(2 / 3)
    assert found["sensitivity"]["value"] == 0.0
    assert found["specificity"]["value"] == 0.5
    assert found["passed"] is False


def test_a_set_without_a_class_has_no_area() -> None:
    """What can't be counted is null, and the rule does not hold."""
    found = figures.assess(
        np.ones(4), _two(np.ones(4)), np.arange(4), threshold=0.5, clinical_rule=RULE
    )

    assert found["auroc"] == {"value": None, "lower": None, "upper": None}
    assert found["specificity"]["value"] is None
    assert found["passed"] is False


def test_a_corruption_is_summed_up_against_the_clean_films() -> None:
    """Drops are means over severities; the rule is lost at the first severity that misses it."""
    good, bad = _assessed(LABELS * 0.9), _assessed(np.full(40, 0.1))

    found = figures.summarise(good, {1: good, 2: bad, 3: good, 4: bad})

    assert found["rule_lost_at"] == 2
    assert found["drop"] == {"auroc": 0.25, "sensitivity": 0.5, "specificity": 0.0}
    assert list(found["severities"]) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(("clean_holds", "lost_at"), [(True, None), (False, 0)])
def test_a_rule_that_is_never_or_always_missed(clean_holds: bool, lost_at: int | None) -> None:
    """None where it holds throughout, 0 where the clean films miss it already."""
    good, bad = _assessed(LABELS * 0.9), _assessed(np.full(40, 0.1))

    found = figures.summarise(good if clean_holds else bad, {1: good})

    assert found["rule_lost_at"] == lost_at


def test_each_corruption_counts_once_in_the_mean() -> None:
    """The mean is over corruptions; one without a figure is left out of it."""
    drops: list[dict[str, float | None]] = [{"auroc": 0.1}, {"auroc": 0.3}, {"auroc": None}]

    assert figures.mean_drop(drops) == {"auroc": pytest.approx(0.2)}
