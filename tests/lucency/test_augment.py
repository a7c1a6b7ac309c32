"""Films are varied within limits, repeatably, and never mirrored without a reason."""

import numpy as np
import pytest
from pydantic import ValidationError

from lucency.augment import Augmentation, Augmenter

STILL = Augmentation(rotate_degrees=0, zoom=0, shift=0, brightness=0, contrast=0)
FILM = np.random.default_rng(0).integers(40, 200, (48, 64, 1)).astype(np.uint8)


def test_same_seed_gives_the_same_film() -> None:
    """A film's variation depends on its seed and not on the films before it."""
    augmenter = Augmenter(Augmentation())

    first = augmenter(FILM, 7)
    augmenter(FILM, 8)

    np.testing.assert_array_equal(augmenter(FILM, 7), first)
    np.testing.assert_array_equal(Augmenter(Augmentation())(FILM, 7), first)


def test_another_seed_gives_another_film() -> None:
    """Two epochs show two variations."""
    augmenter = Augmenter(Augmentation())

    assert not np.array_equal(augmenter(FILM, 1), augmenter(FILM, 2))


@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_type_stay(channels: int) -> None:
    """A varied film fits where the film came from."""
    film = np.repeat(FILM, channels, axis=2)

    varied = Augmenter(Augmentation())(film, 3)

    assert varied.shape == film.shape
    assert varied.dtype == np.uint8


def test_no_variation_leaves_the_film() -> None:
    """With every limit at zero the pixels are those of the film."""
    augmenter = Augmenter(STILL)

    for seed in range(5):
        np.testing.assert_array_equal(augmenter(FILM, seed), FILM)


def test_given_film_is_not_changed() -> None:
    """The caller's array may be a cached film, so it is left as it was."""
    before = FILM.copy()

    Augmenter(Augmentation())(FILM, 4)

    np.testing.assert_array_equal(FILM, before)


@pytest.mark.parametrize("reason", ["", "  "])
def test_flip_needs_a_reason(reason: str) -> None:
    """A mirrored chest has its heart on the wrong side, so somebody must answer for it."""
    with pytest.raises(ValidationError, match="heart on the wrong side"):
        Augmentation(flip=True, flip_reason=reason)


def test_flip_with_a_reason_mirrors_half_of_the_films() -> None:
    """Each film is either itself or its mirror image, and both occur."""
    justified = STILL.model_copy(update={"flip": True, "flip_reason": "rice has no left side"})
    augmenter = Augmenter(justified)

    mirrored = [np.array_equal(augmenter(FILM, seed), FILM[:, ::-1]) for seed in range(40)]

    assert 10 < sum(mirrored) < 30


def test_unjustified_flip_never_happens() -> None:
    """Without flip no seed mirrors a film."""
    augmenter = Augmenter(STILL)

    assert not any(np.array_equal(augmenter(FILM, seed), FILM[:, ::-1]) for seed in range(40))


@pytest.mark.parametrize("option", ["rotate_degrees", "zoom", "shift", "brightness", "contrast"])
def test_limits_are_bounded(option: str) -> None:
    """A variation that no film in practice shows is refused, as is a negative one."""
    for value in (-0.01, 90):
        with pytest.raises(ValidationError, match=option):
            Augmentation.model_validate({option: value})
