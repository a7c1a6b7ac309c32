"""Distances of windows: equal to their definitions and to SciPy's."""

import numpy as np
import pytest
from scipy import stats

from lucency.drift.reference import FeatureReference, fit
from lucency.drift.scores import ks_distance, ks_limit, stability_index


def test_same_films_have_no_index() -> None:
    """The reference against its own counts is exactly zero."""
    feature = fit({"x": np.random.default_rng(0).normal(size=5000)}).features["x"]

    assert stability_index(feature, np.array(feature.shares) * 5000) == pytest.approx(0.0)


def test_index_is_the_published_sum() -> None:
    """Two bins, half and half against a quarter and three quarters."""
    feature = FeatureReference(edges=(0.0,), shares=(0.5, 0.5), values=(0.0,))

    index = stability_index(feature, np.array([25.0, 75.0]))

    assert index == pytest.approx(-0.25 * np.log(0.5) + 0.25 * np.log(1.5))


def test_constant_feature_has_a_finite_index() -> None:
    """A feature without spread has one edge; films beside it are seen all the same."""
    feature = fit({"contrast": np.full(200, 0.5)}).features["contrast"]

    same = stability_index(feature, np.bincount([0] * 100, minlength=len(feature.shares)))
    other = stability_index(feature, np.bincount([1] * 100, minlength=len(feature.shares)))

    assert len(feature.edges) == 1
    assert same == pytest.approx(0.0, abs=0.01)
    assert 1 < other < 20


@pytest.mark.parametrize("seed", range(20))
def test_ks_is_scipys(seed: int) -> None:
    """The statistic is ``scipy.stats.ks_2samp``'s, ties between the samples included."""
    rng = np.random.default_rng(seed)
    first = np.sort(rng.normal(size=rng.integers(5, 600)).round(seed % 3 + 1))
    second = rng.normal(rng.normal(), size=rng.integers(5, 600)).round(seed % 3 + 1)

    found = ks_distance(first, second)

    assert found == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-9)


@pytest.mark.parametrize("level", [0.05, 0.001])
def test_limit_is_that_of_the_limit_law(level: float) -> None:
    """At the limit, Kolmogorov's law says the level asked for."""
    limit = ks_limit(400, 300, level)

    scaled = limit * np.sqrt(400 * 300 / 700)
    assert stats.kstwobign.sf(scaled) == pytest.approx(level, rel=1e-3)
