"""The three words, and how many labels would change the third."""

import math

import pytest

from lucency.evaluation.intervals import UNKNOWN, Interval, wilson
from lucency.evaluation.rule import ClinicalRule
from lucency.reevaluation import judge

RULE = ClinicalRule(sensitivity_floor=0.9, specificity_floor=0.7)
FINE = Interval(0.85, 0.8, 0.9)


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "word"),
    [
        (Interval(0.96, 0.91, 0.98), FINE, "holds"),
        (Interval(0.96, 0.90, 0.98), FINE, "holds"),
        (Interval(0.80, 0.75, 0.85), FINE, "below floor"),
        (Interval(0.96, 0.85, 0.99), FINE, "too few labels"),
        (Interval(0.85, 0.70, 0.95), FINE, "too few labels"),
        (Interval(0.96, 0.91, 0.98), Interval(0.5, 0.4, 0.6), "below floor"),
        (Interval(0.96, 0.91, 0.98), Interval(0.65, 0.5, 0.8), "too few labels"),
        (Interval(0.96, 0.91, 0.98), UNKNOWN, "too few labels"),
        (UNKNOWN, FINE, "too few labels"),
    ],
)
def test_word(sensitivity: Interval, specificity: Interval, word: str) -> None:
    """The gate's rule, under a floor for certain, or neither."""
    assert judge.verdict(RULE, sensitivity, specificity, 50)[0] == word


def test_needed_labels_are_enough_and_one_less_is_not() -> None:
    """Were the share to stay, so many more films bring the bound to the floor."""
    found = wilson(0.95, 60)

    word, needed = judge.verdict(RULE, found, FINE, 60)

    assert word == "too few labels"
    assert wilson(0.95, 60 + needed).lower >= 0.9
    assert wilson(0.95, 60 + needed - 2).lower < 0.9


def test_films_of_few_patients_need_more() -> None:
    """An interval twice as wide as films would give is that of fewer."""
    _, alone = judge.verdict(RULE, wilson(0.95, 60), FINE, 60)
    _, shared = judge.verdict(RULE, wilson(0.95, 30), FINE, 60)

    assert shared > 2 * alone


def test_without_any_label_the_least_number_is_told() -> None:
    """35 films, all found, are the fewest that can prove a sensitivity of 0.9."""
    assert judge.verdict(RULE, UNKNOWN, FINE, 0) == ("too few labels", 35)
    assert wilson(1.0, 35).lower >= 0.9 > wilson(1.0, 34).lower
    assert math.isnan(UNKNOWN.value)
