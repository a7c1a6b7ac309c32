"""Targets of drawn films, and what it means to hit them."""

import numpy as np
import pytest

from lucency.datasets.phantom import Phantom
from lucency.explain import targets
from lucency.explain.targets import Mask
from lucency.preprocess import Preprocess


@pytest.fixture(scope="module")
def drawn() -> list[tuple[str, Mask]]:
    """Patients and opacities of a few ill films of the set with seed 5."""
    films = Phantom(patients=4, size=96, prevalence=1.0, seed=5)
    return [(film.patient, targets.opacity(film.mask_png)) for film in films if film.mask_png]


def test_lungs_are_found_for_every_film(drawn: list[tuple[str, Mask]]) -> None:
    """The right seed gives lungs that hold nearly all of the opacities and a part of the film."""
    for patient, opacity in drawn:
        lungs = targets.lungs(opacity, patient, seed=5)

        assert lungs is not None
        assert (lungs & opacity).sum() > 0.9 * opacity.sum()
        assert 0.15 < lungs.mean() < 0.5


@pytest.mark.parametrize(("patient", "seed"), [("", 6), ("P0099", 5), ("anna", 5)])
def test_lungs_are_never_guessed(drawn: list[tuple[str, Mask]], patient: str, seed: int) -> None:
    """Another seed, another patient or a name that is not drawn gives none."""
    name, opacity = drawn[0]

    assert targets.lungs(opacity, patient or name, seed=seed) is None


def test_mask_follows_the_film_to_the_input() -> None:
    """A quarter of the film stays that quarter at the size of the input."""
    mask = np.zeros((96, 96), np.bool_)
    mask[:48, 48:] = True

    small = targets.at_input(mask, Preprocess(size=32))

    assert small.shape == (32, 32)
    assert small[:16, 16:].all()
    assert small.sum() == 256


def test_pointing_asks_for_the_strongest_pixel() -> None:
    """One hit, one miss, and a map without heat, which points nowhere."""
    maps = np.zeros((3, 2, 2))
    maps[0, 0, 0], maps[1, 1, 1] = 2.0, 2.0
    masks = np.zeros((3, 2, 2), np.bool_)
    masks[:, 0, 0] = True

    assert targets.pointing(maps, masks).tolist() == [True, False, False]


def test_heat_counts_where_it_is_positive() -> None:
    """Three of four parts inside; cold pixels weigh nothing; no heat is no share."""
    maps = np.array([[[3.0, 1.0], [-5.0, 0.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    masks = np.zeros((2, 2, 2), np.bool_)
    masks[:, 0, 0] = True

    assert targets.heat_inside(maps, masks).tolist() == [0.75, 0.0]
