"""What a model loses at another site: intervals of a difference, and the bounds on it."""

import numpy as np
import pytest

from lucency.evaluation import drop
from lucency.evaluation.drop import MostDrop
from lucency.evaluation.intervals import UNKNOWN, Interval, wilson


def test_difference_of_two_shares_is_newcombes() -> None:
    """56 of 70 less 48 of 80 has the bounds of Newcombe, 1998, table II (a), method 10."""
    found = drop.difference(wilson(56 / 70, 70), wilson(48 / 80, 80))

    np.testing.assert_allclose(
        (found.value, found.lower, found.upper), (0.2, 0.0524, 0.3339), atol=5e-5
    )


def test_bounds_cover_a_true_difference() -> None:
    """Of 2,000 pairs of independent samples, the truth is inside 94 to 97 times in a hundred."""
    generator = np.random.default_rng(0)
    shares = generator.binomial([300, 120], [0.95, 0.85], size=(2000, 2)) / [300, 120]

    found = [drop.difference(wilson(a, 300), wilson(b, 120)) for a, b in shares]

    covered = np.mean([each.lower <= 0.1 <= each.upper for each in found])
    assert 0.94 < covered < 0.97


def test_only_measures_of_both_are_compared() -> None:
    """A model of many classes has no figure that one of two classes has, and the reverse."""
    figure = {"value": 0.9, "lower": 0.8, "upper": 0.95}

    found = drop.of({"auroc": figure, "accuracy": figure}, {"auroc": figure, "f1": figure})

    assert list(found) == ["auroc"]
    assert found["auroc"].value == 0


@pytest.mark.parametrize(
    ("fall", "held", "said"),
    [
        (Interval(0.01, -0.01, 0.03), True, "upper bound not over the 0.05 allowed"),
        (Interval(0.01, -0.05, 0.07), False, "more films may show that it holds"),
        (Interval(0.09, 0.06, 0.12), False, "lower bound over the 0.05 allowed"),
        (UNKNOWN, False, "upper bound over the 0.05 allowed"),
    ],
)
def test_upper_bound_is_held_against_the_most(fall: Interval, held: bool, said: str) -> None:
    """A site with few films does not show that a model holds; the sentence tells the two apart."""
    found, (reason,) = drop.judge(MostDrop(auroc=0.05), {"auroc": fall, "specificity": fall})

    assert found is held
    assert reason.startswith("auroc falls by")
    assert said in reason


def test_bound_on_what_was_not_measured_is_not_held() -> None:
    """Accuracy is bounded, and the evidence has none."""
    held, _ = drop.judge(MostDrop(accuracy=0.5), {})

    assert not held
