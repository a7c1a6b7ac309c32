"""Pictures as PNG: they hold what they are said to hold."""

import numpy as np
import pytest
import torch
from torch import nn

from lucency import images
from lucency.anatomy import pictures
from lucency.anatomy.layers import Anatomy, analyse
from lucency.anatomy.sight import effects, stages

FILM = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)


@pytest.fixture
def network() -> nn.Sequential:
    """Two stages on gray films."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(6, 12, 3), nn.MaxPool2d(2), nn.Conv2d(12, 4, 3))  # fmt: skip


@pytest.fixture
def anatomy(network: nn.Sequential) -> Anatomy:
    """Of the network above."""
    return analyse(network, (1, 64, 64))


def pixels(png: bytes | None) -> np.ndarray:
    """A picture read back."""
    assert png is not None
    return images.decode(png, color="RGB")


def test_filters_are_drawn_from_the_weights(network: nn.Sequential) -> None:
    """Other weights give another picture; the same ones the same bytes."""
    before = pictures.filters(network, "made")
    again = pictures.filters(network, "made")
    nn.init.eye_(next(network.parameters()).data[0, 0])

    assert before == again
    assert pictures.filters(network, "made") != before


def test_title_says_where_weights_are_from(network: nn.Sequential) -> None:
    """Random and learned filters are never told by their looks alone."""
    assert pictures.filters(network, "as initialised") != pictures.filters(network, "of a run")


def test_colour_filters_are_coloured() -> None:
    """Filters on three channels are shown in colour, on others in gray."""
    coloured = pixels(pictures.filters(nn.Conv2d(3, 4, 7), "made")).astype(int)
    gray = pixels(pictures.filters(nn.Conv2d(5, 4, 7), "made")).astype(int)

    assert np.ptp(coloured, axis=2).max() > 100
    assert np.ptp(gray[60:], axis=2).max() == 0


def test_network_without_convolutions_has_no_filters() -> None:
    """Nothing is drawn rather than something made up."""
    assert pictures.filters(nn.Linear(4, 2), "made") is None


def test_feature_maps_have_one_row_a_stage(anatomy: Anatomy) -> None:
    """Each stage adds a row as high as the others; a dead map is gray, not noise."""
    found = stages(anatomy)
    maps, _ = effects(anatomy, [torch.rand(1, 64, 64)], found)
    rows = list(zip(found, maps, strict=True))

    heights = [len(pixels(pictures.feature_maps(rows[:n], "made"))) for n in (1, 2, 3)]

    assert len(found) >= 3
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=2)


def test_sights_are_drawn_on_the_film(anatomy: Anatomy) -> None:
    """One panel for all boxes and one a stage, in rows of four, warm where the gradient is."""
    _, found = effects(anatomy, [torch.rand(1, 64, 64)], stages(anatomy))

    three, four = (
        pixels(pictures.sights(FILM, some, "made")).astype(int)
        for some in (found[:3], [*found[:3], found[0]])
    )

    assert ((three[..., 0] - three[..., 2]) > 60).sum() > 50
    assert three.shape[1] == four.shape[1]
    assert len(four) - len(three) == pytest.approx(len(three) - 40, abs=10)


def test_cold_film_stays_as_it_is(anatomy: Anatomy) -> None:
    """Outside of what a unit can see no pixel of the film is coloured."""
    stage = stages(anatomy)[0]
    _, (found,) = effects(anatomy, [torch.rand(1, 64, 64)], [stage])

    warmed = pictures._warmed(FILM, found)

    (top, bottom), (left, right) = found.box
    outside = np.ones((64, 64), bool)
    outside[top : bottom + 1, left : right + 1] = False
    np.testing.assert_array_equal(warmed[outside], np.repeat(FILM[outside][:, None], 3, 1))
    assert np.ptp(warmed[~outside], axis=1).max() > 0.3
