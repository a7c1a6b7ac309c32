"""The effective receptive field: inside of the theoretical one, strongest in its middle."""

import numpy as np
import torch
from torch import nn

from lucency.anatomy.layers import analyse
from lucency.anatomy.sight import effects, films, stages
from tests.lucency.anatomy import networks


def deep() -> nn.Sequential:
    """Ten 3x3 convolutions of one positive weight: a binomial, nearly Gaussian field."""
    network = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(10)])
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1 / 9)
    return network


def test_effective_field_is_smaller_than_the_theoretical_one() -> None:
    """
    Ten box filters of variance 2/3 add up to a deviation of 2.58 px: 95 % of the gradient are
    within about 2.2 deviations either way in both axes, far less than the 21 px that can be seen.
    """
    anatomy = analyse(deep(), (1, 64, 64))

    _, (found,) = effects(anatomy, [torch.ones(1, 64, 64)], [anatomy.maps[-1]])

    assert found.layer.receptive_field == (21, 21)
    assert found.box == ((22, 42), (22, 42))
    assert 10 <= found.size <= 13
    assert found.gradient.argmax() == 32 * 64 + 32
    outside = found.gradient.copy()
    outside[22:43, 22:43] = 0
    assert outside.sum() == 0


def test_first_layer_hears_all_that_it_sees() -> None:
    """A single convolution of equal weights spreads its gradient over its whole window."""
    network = nn.Conv2d(1, 1, 5, bias=False)
    nn.init.constant_(network.weight, 1.0)
    anatomy = analyse(network, (1, 16, 16))

    _, (found,) = effects(anatomy, [torch.ones(1, 16, 16)], list(anatomy.maps))

    assert found.size == 5
    assert (found.gradient > 0).sum() == 25


def test_channels_last_maps_are_measured_in_space() -> None:
    """Where channels stand last, the centre is a place, not a channel."""
    anatomy = analyse(networks.ChannelsLast(), (2, 32, 32))
    rows = [layer for layer in anatomy.maps if layer.kind == "Linear"]

    _, (found,) = effects(anatomy, [torch.randn(2, 32, 32)], rows)

    assert found.box == ((16, 19), (16, 19))
    assert (found.gradient[16:20, 16:20] > 0).all()
    assert np.count_nonzero(found.gradient) == 16


def test_stages_go_from_shallow_to_deep() -> None:
    """One map of each size, the last one of it, in order."""
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 1), nn.ReLU(),
        nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip

    found = stages(analyse(network, (1, 16, 16)))

    assert [layer.name for layer in found] == ["1", "4", "5"]
    assert [layer.map_size for layer in found] == [(16, 16), (8, 8), (4, 4)]


def test_network_of_one_size_shows_its_convolutions() -> None:
    """Without any shrinking, convolutions are the stages, thinned to what fits a page."""
    found = stages(analyse(deep(), (1, 16, 16)), most=4)

    assert [layer.name for layer in found] == ["0", "3", "6", "9"]


def test_cheap_networks_see_more_films() -> None:
    """The film itself comes first; noisy copies follow, fewer where a network is expensive."""
    film = torch.rand(1, 64, 64)
    cheap = films(analyse(deep(), (1, 64, 64)), film)
    wide = nn.Sequential(*[nn.Conv2d(size, 256, 3) for size in (1, 256)])
    dear = films(analyse(wide, (1, 64, 64)), film)

    assert len(cheap) == 8
    assert len(dear) == 2
    assert torch.equal(cheap[0], film)
    span = float(film.max() - film.min())
    for copy in cheap[1:]:
        np.testing.assert_allclose(float((copy - film).std()), 0.1 * span, rtol=0.1)
    assert not torch.equal(cheap[1], cheap[2])


def test_effect_is_the_mean_over_the_films() -> None:
    """Two films give the mean of what each of them gives; maps are those of the first."""
    network = nn.Sequential(nn.Conv2d(1, 4, 5), nn.Tanh(), nn.Conv2d(4, 2, 3))
    anatomy = analyse(network, (1, 16, 16))
    layers, (one, two) = [anatomy.maps[-1]], torch.randn(2, 1, 16, 16)

    maps, (both,) = effects(anatomy, [one, two], layers)

    alone = [effects(anatomy, [each], layers) for each in (one, two)]
    expected = (alone[0][1][0].gradient + alone[1][1][0].gradient) / 2
    np.testing.assert_allclose(both.gradient, expected, rtol=1e-5)
    torch.testing.assert_close(maps[0], alone[0][0][0])
