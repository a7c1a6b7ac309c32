"""Blur, compression, resolution."""

import numpy as np
import pytest

from lucency.robustness.corruptions import sharpness


def _point() -> np.ndarray:
    film = np.zeros((129, 129, 1), np.uint8)
    film[62:67, 62:67] = 250
    return film


def test_defocus_spreads_light_evenly_and_loses_none() -> None:
    """A bright square keeps its sum and its centre, and becomes as wide as it is high."""
    made = sharpness.defocus(_point(), 4, np.random.default_rng(0))[:, :, 0].astype(float)

    assert made.sum() == pytest.approx(25 * 250, rel=0.05)
    np.testing.assert_array_equal(made, made.T)
    assert made.max() < 250


def test_motion_spreads_light_along_one_line() -> None:
    """A bright square becomes several times longer one way than across, centred where it was."""
    made = sharpness.motion_blur(_point(), 5, np.random.default_rng(0))[:, :, 0].astype(float)

    places = np.argwhere(made > 0)
    weights = made[made > 0]
    covariance = np.cov(places.T, aweights=weights)
    across, along = np.linalg.eigvalsh(covariance)
    assert along > 2 * across
    np.testing.assert_allclose(np.average(places, axis=0, weights=weights), 64, atol=0.3)


def test_a_small_film_is_blurred_more_by_each_severity() -> None:
    """On 28 pixels, where the radii are fractions of one, five severities are five films."""
    film = np.random.default_rng(0).integers(0, 255, (28, 28, 1)).astype(np.uint8)

    made = {sharpness.defocus(film, s, np.random.default_rng(0)).tobytes() for s in range(1, 6)}

    assert len(made) == 5


def test_jpeg_keeps_colours_in_their_order() -> None:
    """A film of one colour keeps it: red does not become blue."""
    film = np.full((32, 32, 3), (200, 30, 60), np.uint8)

    made = sharpness.jpeg(film, 1, np.random.default_rng(0))

    np.testing.assert_allclose(made.mean(axis=(0, 1)), (200, 30, 60), atol=6)


def test_resolution_removes_detail_and_keeps_the_mean() -> None:
    """Lines one pixel wide are gone; the film is as bright as before."""
    film = np.tile(np.array([0, 200], np.uint8), (64, 32))[:, :, None]

    made = sharpness.resolution(film, 1, np.random.default_rng(0))

    assert made.shape == film.shape
    assert made.std() < 2
    assert made.mean() == pytest.approx(100, abs=1)
