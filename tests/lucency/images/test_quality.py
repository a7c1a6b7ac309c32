"""What pixels say without a model: blank films, kinds of films and their negatives."""

import numpy as np
import pytest

from lucency.images import quality
from lucency.images.quality import NEGATIVE, Kind


def films(count: int) -> list[np.ndarray]:
    """Bright discs of one kind, each a little different."""
    rows, columns = np.mgrid[:40, :48]
    found = []
    for seed in range(count):
        noise = np.random.default_rng(seed).normal(0, 15, (40, 48))
        disc = 200.0 * (((rows - 20) ** 2 + (columns - 24) ** 2) < 150)
        found.append(np.clip(disc + 20 + noise, 0, 255).astype(np.uint8)[:, :, None])
    return found


@pytest.mark.parametrize(("levels", "blank"), [(1, True), (3, True), (16, False)])
def test_blank_is_what_shows_nothing(levels: int, blank: bool) -> None:
    """Gray levels that lie close together are no film, whatever their mean."""
    pixels = np.random.default_rng(0).integers(90, 90 + levels, (40, 40, 1)).astype(np.uint8)

    assert quality.is_blank(pixels) is blank


def test_colour_shows_something() -> None:
    """One channel that varies is enough."""
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20, :, 1] = 90

    assert not quality.is_blank(pixels)


def test_film_agrees_with_its_kind_and_a_negative_does_not() -> None:
    """Agreement is 1 for the same picture and -1 for its negative, at any brightness."""
    kind = Kind.of([quality.thumbnail(film) for film in films(6)])
    other = films(7)[-1]

    assert kind is not None
    assert kind.agreement(quality.thumbnail(other)) > 0.9
    assert kind.agreement(quality.thumbnail(255 - other)) < NEGATIVE
    assert kind.agreement(quality.thumbnail(other // 2)) > 0.9


def test_films_of_many_kinds_have_no_kind() -> None:
    """Where films do not agree with their mean nothing can be held against it."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 40, 1)).astype(np.uint8)

    assert Kind.of([quality.thumbnail(film) for film in noise]) is None
    assert Kind.of([]) is None


def test_colour_and_gray_have_one_thumbnail() -> None:
    """A gray film repeated in three channels is the same film."""
    gray = films(1)[0]

    repeated = quality.thumbnail(np.repeat(gray, 3, axis=2))

    np.testing.assert_array_equal(repeated, quality.thumbnail(gray))
