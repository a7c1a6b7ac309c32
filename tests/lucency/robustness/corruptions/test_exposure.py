"""Noise, contrast and gray scale."""

import numpy as np
import pytest

from lucency.robustness.corruptions import exposure


def _flat(gray: int) -> np.ndarray:
    return np.full((128, 128, 1), gray, np.uint8)


def test_gaussian_noise_has_the_deviation_of_its_severity() -> None:
    """At severity 3 the deviation is 7 % of the gray range."""
    made = exposure.gaussian_noise(_flat(128), 3, np.random.default_rng(0))

    assert made.std() / 255 == pytest.approx(0.07, rel=0.03)


def test_quantum_noise_is_strongest_where_the_film_is_dense() -> None:
    """Behind bone few photons arrive: the noise there is three times that behind air, or more."""
    dark, bright = (
        exposure.quantum_noise(_flat(gray), 2, np.random.default_rng(0)).std() for gray in (30, 220)
    )

    assert bright > 2.5 * dark


def test_contrast_keeps_the_mean() -> None:
    """Half the distances from the mean are left at severity 3; the mean stays."""
    film = np.repeat(np.array([60, 180], np.uint8), 32).reshape(8, 8, 1)

    made = exposure.contrast(film, 3, np.random.default_rng(0))

    assert sorted(set(made.ravel().tolist())) == [90, 150]


def test_gamma_goes_both_ways_and_keeps_black_and_white() -> None:
    """Some films become darker, some brighter; 0 and 255 stay."""
    film = np.array([0, 128, 255], np.uint8).reshape(1, 3, 1)

    made = [exposure.gamma(film, 5, np.random.default_rng(s)).ravel().tolist() for s in range(8)]

    assert all((first, last) == (0, 255) for first, _, last in made)
    assert {middle < 128 for _, middle, _ in made} == {True, False}


def test_inverted_twice_is_the_film() -> None:
    """Black for white is undone by itself."""
    film = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    generator = np.random.default_rng(0)

    twice = exposure.inverted(exposure.inverted(film, 1, generator), 1, generator)

    np.testing.assert_array_equal(twice, film)
