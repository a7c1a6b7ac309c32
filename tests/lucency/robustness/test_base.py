"""What every corruption keeps to, whatever it does."""

import numpy as np
import pytest

from lucency.datasets import phantom
from lucency.registry import Options
from lucency.robustness import base
from lucency.robustness.base import SEVERITIES, corrupt, corruptions, severities

ALL = corruptions.names()
FILM = np.random.default_rng(0).integers(20, 200, (60, 90, 1)).astype(np.uint8)


def _options(name: str) -> Options:
    return corruptions.options(name).model_validate({})


def _smooth(side: int) -> np.ndarray:
    """A film of soft shapes, the same scene at every size."""
    place = np.linspace(0, 1, side)
    scene = 120 + 80 * np.sin(6 * place)[:, None] * np.cos(4 * place)
    return np.asarray(np.rint(scene), np.uint8)[:, :, None]


def test_the_family_has_what_the_field_asks_for() -> None:
    """Noise, blur, gray scale, storage, geometry, polarity and markers are all there."""
    assert {each.name for each in base.every()} == {
        "contrast",
        "crop",
        "defocus",
        "gamma",
        "gaussian_noise",
        "inverted",
        "jpeg",
        "marker",
        "motion_blur",
        "quantum_noise",
        "resolution",
        "rotation",
    }
    assert severities("inverted") == (1,)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ALL)
def test_a_corruption_gives_another_film_and_leaves_the_first(name: str, channels: int) -> None:
    """What comes out is uint8 with as many channels, differs, and what went in is untouched."""
    film = np.repeat(FILM, channels, axis=2)
    before = film.copy()

    for severity in severities(name):
        made = corrupt(film, _options(name), severity, digest="a")

        assert made.dtype == np.uint8
        assert made.ndim == 3
        assert made.shape[2] == channels
        assert made.shape != film.shape or (made != film).any()
        np.testing.assert_array_equal(film, before)


@pytest.mark.parametrize("name", ALL)
def test_a_film_is_always_corrupted_alike(name: str) -> None:
    """The same film, severity and seed give the same pixels, whoever asks and in what order."""
    corrupt(FILM, _options(name), 1, digest="other")

    first, again = (corrupt(FILM, _options(name), 1, digest="a") for _ in range(2))

    np.testing.assert_array_equal(first, again)


def test_films_and_seeds_draw_their_own_numbers() -> None:
    """Another digest and another seed give other noise, so that films are not corrupted in step."""
    options = _options("gaussian_noise")
    made = corrupt(FILM, options, 3, digest="a")

    assert (corrupt(FILM, options, 3, digest="b") != made).any()
    assert (corrupt(FILM, options, 3, digest="a", seed_number=1) != made).any()


@pytest.mark.parametrize("name", sorted(set(ALL) - {"inverted", "crop", "marker"}))
def test_each_severity_is_further_from_the_film(name: str) -> None:
    """The mean distance from the clean film rises from each severity to the next."""
    film = phantom.draw(0, 1, size=128, ill=True, site="scanner_a")[0][:, :, None]

    far = [
        float(np.abs(corrupt(film, _options(name), severity, digest="a").astype(int) - film).mean())
        for severity in SEVERITIES
    ]

    assert far == sorted(far)
    assert len(set(far)) == len(far)


@pytest.mark.parametrize("name", ["defocus", "motion_blur", "gaussian_noise", "quantum_noise"])
def test_a_severity_means_the_same_on_a_large_film(name: str) -> None:
    """Seen at one size, a film of 256 pixels and one of 768 are changed by about as much."""
    changed = []
    for side in (256, 768):
        film = _smooth(side)
        made = corrupt(film, _options(name), 4, digest="a")
        seen = [base.resized(each, 128, 128).astype(float) for each in (made, film)]
        changed.append(float(np.sqrt(np.mean((seen[0] - seen[1]) ** 2))))

    assert changed[1] == pytest.approx(changed[0], rel=0.15)
