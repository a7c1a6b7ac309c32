"""Verification bias: labels that come for positive answers must not flatter the model."""

import math

import numpy as np
import pytest

from lucency.evaluation.intervals import proportion
from lucency.reevaluation.bias import Counts, accuracy

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray, Counts]


def drawn(seed: int, films: int, *, sensitivity: float, rates: tuple[float, float]) -> Drawn:
    """Labelled films of a model of known sensitivity, labelled by rate of positive and negative."""
    generator = np.random.default_rng(seed)
    ill = generator.random(films) < 0.3
    called = generator.random(films) < np.where(ill, sensitivity, 0.1)
    seen = generator.random(films) < np.where(called, *rates)
    counts = Counts(
        int(called.sum()), int((~called).sum()), int((called & seen).sum()),
        int((~called & seen).sum()),
    )  # fmt: skip
    return ill[seen], called[seen], np.arange(int(seen.sum())), counts


def test_even_labelling_is_counted_as_it_is() -> None:
    """Figures and intervals are those of the gate."""
    ill, called, patients, counts = drawn(0, 2000, sensitivity=0.8, rates=(1.0, 1.0))

    found = accuracy(ill, called, patients, counts, 0.95)

    assert not found.weighted
    assert found.sensitivity == proportion(called[ill], patients[ill], 0.95)


def test_missing_negatives_are_made_up_for() -> None:
    """With 9 of 10 positive and 1 of 10 negative answers labelled, the true value comes back."""
    ill, called, patients, counts = drawn(0, 40_000, sensitivity=0.8, rates=(0.9, 0.1))
    naive = float(called[ill].mean())

    found = accuracy(ill, called, patients, counts, 0.95)

    assert naive > 0.96
    assert found.weighted
    assert found.sensitivity.value == pytest.approx(0.8, abs=0.02)
    assert found.specificity.value == pytest.approx(0.9, abs=0.01)


def test_published_example_is_reproduced() -> None:
    """
    Begg and Greenes' estimate by hand: P(T+) PPV / (P(T+) PPV + P(T-) (1 - NPV)).

    429 positive answers, 263 labelled and 231 of them ill; 221 negative ones, 81 labelled and 27
    ill (a liver scan; Drum and Christacopoulos, 1972).
    """
    ill = np.repeat([True, False, True, False], [231, 32, 27, 54])
    called = np.repeat([True, False], [263, 81])
    counts = Counts(429, 221, 263, 81)

    found = accuracy(ill, called, np.arange(344), counts, 0.95)

    expected = 429 * 231 / 263 / (429 * 231 / 263 + 221 * 27 / 81)
    assert found.sensitivity.value == pytest.approx(expected)
    assert found.sensitivity.value == pytest.approx(0.836, abs=0.001)
    assert found.specificity.value == pytest.approx(0.738, abs=0.001)


def test_few_negative_labels_without_a_miss_prove_little() -> None:
    """Of 1000 negative answers five were looked at, none ill: the bound knows what is unknown."""
    ill = np.repeat([True, False], [100, 5])
    called = ill.copy()

    found = accuracy(ill, called, np.arange(105), Counts(100, 1000, 100, 5), 0.95)

    assert found.sensitivity.value == 1.0
    assert found.sensitivity.lower < 0.4


@pytest.mark.parametrize("labelled", [(50, 0), (0, 50)])
def test_one_sided_labels_leave_sensitivity_unknown(labelled: tuple[int, int]) -> None:
    """Where no negative answer was ever looked at, nobody knows what was missed."""
    called = np.full(50, labelled[0] > 0)

    found = accuracy(called, called, np.arange(50), Counts(100, 100, *labelled), 0.95)

    assert math.isnan(found.sensitivity.value)


def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    """In 200 drawn services of 2,000 films the 95 % interval has the true value 93 % or more."""
    held = 0
    for seed in range(200):
        ill, called, patients, counts = drawn(seed, 2000, sensitivity=0.9, rates=(0.8, 0.2))
        found = accuracy(ill, called, patients, counts, 0.95).sensitivity
        held += found.lower <= 0.9 <= found.upper

    assert held >= 186


def test_films_of_one_patient_widen_the_interval() -> None:
    """Ten films a patient, all alike, are worth less than as many patients."""
    ill, called, patients, counts = drawn(0, 400, sensitivity=0.8, rates=(0.9, 0.2))
    tenfold = Counts(*(10 * n for n in vars(counts).values()))

    one = accuracy(ill, called, patients, counts, 0.95).sensitivity
    ills, calls, same = (np.repeat(each, 10) for each in (ill, called, patients))
    ten = accuracy(ills, calls, same, tenfold, 0.95).sensitivity

    assert ten.upper - ten.lower > 0.75 * (one.upper - one.lower)
