"""Deletion and insertion where the areas are known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lucency.explain import curves
from lucency.explain.curves import Curves


def brightness(images_nchw: Tensor) -> Tensor:
    """An answer that follows what is in the left half, 0 to 1."""
    return images_nchw[..., :5].mean(dim=(1, 2, 3))


def left_half() -> np.ndarray:
    """A map that knows where the answer comes from."""
    heat = np.zeros((1, 10, 10), np.float32)
    heat[:, :, :5] = 1.0
    return heat


def found(maps: np.ndarray) -> Curves:
    """Curves on a white film and a black background."""
    white = torch.ones(1, 1, 10, 10)
    return curves.curves(brightness, white, torch.zeros_like(white), maps, seed_number=0)


def test_true_map_takes_the_answer_away_first() -> None:
    """Gone after half of the pixels, back after half: areas of a quarter and three quarters."""
    truth = found(left_half())

    assert truth.deletion_n == pytest.approx([0.25], abs=1e-6)
    assert truth.insertion_n == pytest.approx([0.75], abs=1e-6)


def test_wrong_map_does_so_last() -> None:
    """The opposite map has the opposite areas."""
    wrong = found(-left_half())

    assert wrong.deletion_n == pytest.approx([0.75], abs=1e-6)
    assert wrong.insertion_n == pytest.approx([0.25], abs=1e-6)


def test_curves_begin_and_end_with_film_and_background() -> None:
    """At no pixel and at all pixels nothing is left to the map."""
    both = found(left_half())

    assert both.deletion_ns[0, [0, -1]].tolist() == [1.0, 0.0]
    assert both.insertion_ns[0, [0, -1]].tolist() == [0.0, 1.0]


def test_equal_pixels_fall_in_chance_order() -> None:
    """A map of one value says nothing, so its order must not follow the rows of the film."""
    places = curves.ranked(np.zeros((1, 40, 40), np.float32), 0).ravel()

    assert len(np.unique(places)) == 1600
    assert abs(np.corrcoef(places, np.arange(1600))[0, 1]) < 0.1


def test_stronger_pixels_come_first() -> None:
    """Ranks are those of falling heat, as shares of all pixels."""
    places = curves.ranked(np.array([[[3.0, 1.0], [2.0, 4.0]]], np.float32), 0)

    assert places.tolist() == [[[0.25, 0.75], [0.5, 0.0]]]


def test_chance_has_the_grain_of_what_it_stands_beside() -> None:
    """Neighbours in chance patches are alike, chance pixels know nothing of each other."""
    rng = np.random.default_rng(0)
    patches, pixels = (
        curves.by_chance(grain, (2, 32, 32), (4, 4), rng) for grain in ("patches", "pixels")
    )

    def neighbours(maps: np.ndarray) -> float:
        return float(np.corrcoef(maps[:, :, 1:].ravel(), maps[:, :, :-1].ravel())[0, 1])

    assert patches.shape == pixels.shape == (2, 32, 32)
    assert neighbours(patches) > 0.9
    assert abs(neighbours(pixels)) < 0.1


def test_backgrounds_are_three() -> None:
    """Black as the network has it, mean gray, and the film without its detail."""
    film = torch.rand(1, 1, 64, 64)

    found = curves.backgrounds(film, torch.tensor([-2.0]))

    assert found["black"].unique().tolist() == [-2.0]
    assert found["gray"].unique().tolist() == [0.0]
    assert found["blurred"].mean() == pytest.approx(film.mean().item(), abs=0.05)
    assert found["blurred"].std() < film.std() / 2
