"""A window: quiet without change, loud with it, forgetful, and safe between threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lucency.drift import kernel
from lucency.drift.reference import CELLS, FEATURES, STREAMS, DriftReference, fit
from lucency.drift.window import LEAST_FILMS, Window

Film = dict[str, float]


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    """All features, normally distributed."""
    generator = np.random.default_rng(0)
    return fit({name: generator.normal(size=600) for name in FEATURES})


def films(number: int, seed: int, shift: float = 0.0) -> list[Film]:
    """Films of the same law, or brighter in every feature."""
    values = np.random.default_rng(seed).normal(shift, size=(number, len(FEATURES)))
    return [dict(zip(FEATURES, row, strict=True)) for row in values.tolist()]


def filled(reference: DriftReference, size: int, *seen: Film) -> Window:
    """A window that has seen the films in turn."""
    window = Window(reference, size, rng=np.random.default_rng(0))
    for film in seen:
        window.add(film)
    return window


def test_films_of_the_same_kind_are_near(reference: DriftReference) -> None:
    """Without a change no distance is over its limit and no test in alarm."""
    state = filled(reference, 500, *films(500, 1)).state()

    assert set(state.stability_index) == set(state.ks_distance) == set(STREAMS)
    assert max(state.stability_index.values()) < 0.1
    assert max(state.ks_distance.values()) < 1
    assert state.discrepancy is not None
    assert state.discrepancy < 1
    assert max(state.levels.values()) < 1


def test_other_films_are_far(reference: DriftReference) -> None:
    """With a change every distance is over its limit, and every test says when."""
    state = filled(reference, 200, *films(300, 2), *films(200, 3, shift=1.5)).state()

    assert min(state.stability_index.values()) > 0.25
    assert min(state.ks_distance.values()) > 1
    assert state.discrepancy is not None
    assert state.discrepancy > 1
    assert min(state.levels.values()) >= 1
    assert set(state.films_since_alarm.values()) == {0}


def test_alarm_is_told_once(reference: DriftReference) -> None:
    """The film that raises an alarm tells it; the next ones do not again."""
    window = filled(reference, 200, *films(200, 4))

    told = [name for film in films(150, 5, shift=3) for name in window.add(film)]

    assert sorted(told) == sorted(STREAMS)


def test_window_forgets_the_oldest_films(reference: DriftReference) -> None:
    """After a full window of normal films no distance knows of those before."""
    normal = films(150, 6)

    state = filled(reference, 150, *films(320, 7, shift=5), *normal).state()
    fresh = filled(reference, 150, *normal).state()

    assert state.films == 150
    assert state.stability_index == fresh.stability_index
    assert state.ks_distance == fresh.ks_distance
    assert state.discrepancy == pytest.approx(fresh.discrepancy)


def test_discrepancy_is_that_of_the_last_films(reference: DriftReference) -> None:
    """What is kept up to date film by film is what the kernel says of the last 256."""
    seen = films(400, 8)
    assert reference.thumbnails is not None

    found = filled(reference, 500, *seen).state().discrepancy

    last = np.array([[film[cell] for cell in CELLS] for film in seen[-256:]])
    known, width = np.array(reference.thumbnails.films), reference.thumbnails.bandwidth
    expected = kernel.discrepancy(
        kernel.mean_of_pairs(kernel.gaussian(last, last, width)),
        float(kernel.gaussian(last, known, width).mean()),
        kernel.mean_of_pairs(kernel.gaussian(known, known, width)),
    )
    assert found == pytest.approx(expected / reference.thumbnails.limits[256])


def test_few_films_have_no_distance(reference: DriftReference) -> None:
    """Under a hundred films distances are noise and not given; the tests speak at once."""
    seen = films(LEAST_FILMS, 9)
    window = filled(reference, 500, *seen[:-1])

    before = window.state()
    window.add(seen[-1])
    after = window.state()

    assert (before.stability_index, before.ks_distance, before.discrepancy) == ({}, {}, None)
    assert set(before.levels) == set(STREAMS)
    assert set(after.stability_index) == set(STREAMS)
    assert after.discrepancy is not None


def test_reference_without_films_watches_nothing() -> None:
    """A draft of a bundle has an empty reference; a window over it is quiet."""
    window = Window(DriftReference(films=0, features={}), 100)

    told = [window.add(film) for film in films(120, 10)]

    assert set(told) == {()}
    assert window.state().levels == {}


def test_threads_lose_no_film(reference: DriftReference) -> None:
    """Four threads that add films at once leave every film in the window."""
    window = Window(reference, 500)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(window.add, films(400, 11)))

    assert window.films == 400
