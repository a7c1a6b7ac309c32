"""The sequential test: uniform p-values, the stated rate of false alarms, and real alarms."""

import numpy as np
import pytest
from scipy import stats

from lucency.drift.reference import fit
from lucency.drift.sequential import Sequential, Urn, _bets


def reference_of(values: np.ndarray) -> Urn:
    """An urn over one feature."""
    return Urn(fit({"x": values}).features["x"], len(values))


def sequential(rng: np.random.Generator, *, films: int, films_to_false_alarm: int) -> Sequential:
    """A test of two features, normally distributed."""
    reference = fit({"x": rng.normal(size=films), "y": rng.normal(size=films)})
    return Sequential(reference, films_to_false_alarm=films_to_false_alarm, rng=rng)


def test_urn_holds_one_more_than_the_films() -> None:
    """The gaps of rank between the edges add up to n + 1, and differ by one at most."""
    urn = reference_of(np.random.default_rng(0).normal(size=200))

    assert sum(urn.counts) == 201
    assert np.ptp(urn.counts[:-1]) <= 1


@pytest.mark.parametrize("films", [30, 200, 2000])
def test_p_values_are_uniform_and_independent(films: int) -> None:
    """Few reference films or many: over references and streams, no p-value is preferred."""
    rng = np.random.default_rng(films)
    found = []
    for _ in range(60):
        urn = reference_of(rng.gamma(2.0, size=films))
        row = []
        for value in rng.gamma(2.0, size=60):
            place = urn.place(value)
            row.append(urn.p_value(place, rng.random()))
            urn.add(place)
        found.append(row)
    p_values = np.array(found)

    assert stats.kstest(p_values.ravel(), "uniform").pvalue > 0.001
    assert stats.kstest(p_values.mean(axis=1) * np.sqrt(720) - np.sqrt(180), "norm").pvalue > 0.001


def test_bets_are_fair() -> None:
    """Each factor has mean 1 over uniform p-values, and is never below nought."""
    p_values = (np.arange(100_000) + 0.5) / 100_000

    factors = _bets(p_values)

    np.testing.assert_allclose(factors.mean(axis=0), 1.0, atol=1e-6)
    assert factors.min() > 0


def test_false_alarms_are_as_rare_as_stated() -> None:
    """Sized for 300 films to a false alarm, at most a third of streams alarm within 100."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(150):
        test = sequential(rng, films=40, films_to_false_alarm=300)
        for x, y in rng.normal(size=(100, 2)):
            test.add({"x": x, "y": y})
            if max(test.levels().values()) >= 1:
                alarms += 1
                break

    # The bound is 1/3; what the optional-stopping argument leaves away makes it far rarer.
    assert 0 < alarms / 150 <= 1 / 3


@pytest.mark.parametrize(
    ("shift", "scale", "most"), [(5, 1, 60), (-5, 1, 60), (1, 1, 150), (0, 3, 150), (0, 0.3, 150)]
)
def test_changes_raise_an_alarm(shift: float, scale: float, most: int) -> None:
    """More, less, wider or narrower: found soon, in that feature and not in the other."""
    rng = np.random.default_rng(2)
    test = sequential(rng, films=300, films_to_false_alarm=100_000)
    for x, y in rng.normal(size=(200, 2)):
        test.add({"x": x, "y": y})

    for _ in range(most):
        test.add({"x": rng.normal(shift, scale), "y": rng.normal()})

    assert test.levels()["x"] >= 1
    assert test.levels()["y"] < 1


def test_alarm_lasts_while_the_change_does() -> None:
    """A changed stream does not become the new normal; back to the old, the alarm ends."""
    rng = np.random.default_rng(3)
    test = sequential(rng, films=300, films_to_false_alarm=1_000)
    for _ in range(1500):
        test.add({"x": rng.normal(2), "y": rng.normal()})
    after_change = test.levels()["x"]

    for _ in range(400):
        test.add({"x": rng.normal(), "y": rng.normal()})

    assert after_change >= 1
    assert test.levels()["x"] < 1


def test_constant_feature_raises_an_alarm_when_it_moves() -> None:
    """A feature without any spread is watched too."""
    test = Sequential(fit({"x": np.full(200, 0.5)}), rng=np.random.default_rng(4))
    for _ in range(300):
        test.add({"x": 0.5})
    before = test.levels()["x"]

    for _ in range(100):
        test.add({"x": 0.6})

    assert before < 1 <= test.levels()["x"]
