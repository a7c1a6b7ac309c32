"""Intervals by patient, held against textbook formulas, scikit-learn and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from lucency.evaluation.intervals import UNKNOWN, proportion

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
