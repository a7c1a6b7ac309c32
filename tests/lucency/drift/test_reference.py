"""Drift: no alarm without change, a large index with it, and a window that forgets."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lucency.drift.reference import (
    LEAST_FILMS,
    DriftReference,
    FeatureReference,
    Window,
    describe,
    fit,
    stability_index,
)


def reference() -> DriftReference:
    """One feature, normally distributed."""
    return fit({"brightness": np.random.default_rng(0).normal(size=5000)})


def filled(size: int, values: np.ndarray) -> Window:
    """A window that has seen the values in turn."""
    window = Window(reference(), size)
    for value in values:
        window.add({"brightness": float(value)})
    return window


def test_bins_hold_equal_shares() -> None:
    """Ten bins of a smooth feature hold a tenth of the reference films each."""
    feature = reference().features["brightness"]

    assert len(feature.edges) == 9
    assert feature.shares == pytest.approx([0.1] * 10, abs=0.001)


def test_same_films_have_no_index() -> None:
    """The reference against its own counts is exactly zero."""
    feature = reference().features["brightness"]

    assert stability_index(feature, np.array(feature.shares) * 5000) == pytest.approx(0.0)


def test_new_films_of_the_same_kind_have_a_small_index() -> None:
    """Without drift the index of 500 films is about bins / films, well under 0.1."""
    window = filled(500, np.random.default_rng(1).normal(size=500))

    assert 0 <= window.indices()["brightness"] < 0.05


@pytest.mark.parametrize(("shift", "scale"), [(1.0, 1.0), (-1.0, 1.0), (0.0, 3.0), (50.0, 1.0)])
def test_shifted_films_have_a_large_index(shift: float, scale: float) -> None:
    """Brighter, darker or more varied films pass 0.25, the customary alarm; none is infinite."""
    window = filled(500, np.random.default_rng(2).normal(shift, scale, size=500))

    index = window.indices()["brightness"]

    assert 0.25 < index < 20


def test_index_is_the_published_sum() -> None:
    """Two bins, half and half against a quarter and three quarters."""
    feature = FeatureReference(edges=(0.0,), shares=(0.5, 0.5))

    index = stability_index(feature, np.array([25.0, 75.0]))

    assert index == pytest.approx(-0.25 * np.log(0.5) + 0.25 * np.log(1.5))


def test_window_forgets_the_oldest_films() -> None:
    """After a full window of normal films nothing of the shifted ones before is left."""
    generator = np.random.default_rng(3)
    values = np.concatenate([generator.normal(5, 1, size=320), generator.normal(size=200)])

    window = filled(200, values)

    assert window.films == 200
    assert window.indices() == filled(200, values[-200:]).indices()


def test_few_films_say_nothing() -> None:
    """Under a hundred films the index is noise and is not given."""
    window = filled(500, np.zeros(LEAST_FILMS - 1))

    before = window.indices()
    window.add({"brightness": 0.0})

    assert before == {}
    assert set(window.indices()) == {"brightness"}


def test_constant_feature_has_a_reference() -> None:
    """A feature without spread has one edge; films beside it are seen all the same."""
    feature = fit({"contrast": np.full(200, 0.5)}).features["contrast"]

    same = stability_index(feature, np.bincount([0] * 100, minlength=len(feature.shares)))
    other = stability_index(feature, np.bincount([1] * 100, minlength=len(feature.shares)))

    assert len(feature.edges) == 1
    assert same == pytest.approx(0.0, abs=0.01)
    assert other > 1


def test_reference_survives_json() -> None:
    """What travels in a bundle gives the same indices as what was fitted."""
    fitted = reference()

    read = DriftReference.model_validate_json(fitted.model_dump_json())

    assert read == fitted


def test_threads_lose_no_film() -> None:
    """Four threads that add films at once leave every film in the window."""
    window = Window(reference(), 2000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(window.add, [{"brightness": 0.0}] * 2000))

    assert window.films == 2000


def test_film_is_described_by_its_pixels() -> None:
    """Brightness, contrast and sharpness of stripes of 0 and 1 are a half, a half and one."""
    stripes_chw = np.tile(np.array([0.0, 1.0], dtype=np.float32), (1, 8, 4))

    found = describe(stripes_chw)

    assert found == {"brightness": 0.5, "contrast": 0.5, "sharpness": 1.0}
