"""Rows of films on one picture."""

import numpy as np

from lucency import images
from lucency.datasets import sheet


def test_every_film_is_drawn_in_its_place() -> None:
    """Row and column of a film on the sheet are those it was given in."""
    gray = np.full((40, 40, 1), 90, np.uint8)
    red = np.zeros((30, 30, 3), np.uint8)
    red[..., 0] = 200

    drawn = images.decode(sheet.draw([("a", [gray, red]), ("b", [red])], side=40), color="RGB")

    height = drawn.shape[0] // 2
    assert drawn[44, 20].tolist() == [90, 90, 90]
    assert drawn[44, 44 + 20].tolist() == [200, 0, 0]
    assert drawn[height + 44, 20].tolist() == [200, 0, 0]
    assert drawn[height + 44, 44 + 20].tolist() == [255, 255, 255]


def test_film_keeps_its_shape() -> None:
    """A wide film has black above and below it, and nothing is cut off."""
    placed = sheet.square(np.full((20, 80, 1), 255, np.uint8), 40)

    assert placed.shape == (40, 40, 3)
    assert (placed[15:25] == 255).all()
    assert not placed[:15].any()
    assert not placed[25:].any()
