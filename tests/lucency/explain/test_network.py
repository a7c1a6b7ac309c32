"""A network made ready: a copy, without layers in place, and its last feature map."""

import pytest
import torch
from torch import nn

from lucency.errors import ConfigError
from lucency.explain.network import prepare
from lucency.models.base import Classifier, PooledClassifier, architectures
from tests.lucency.explain.networks import SIDE, bright, halves

BLACK = torch.zeros(1)


def test_given_network_is_left_alone(network: PooledClassifier) -> None:
    """Layers in place are switched off in a copy; the answers stay the same."""
    ready = prepare(network, (1, 32, 32), BLACK)
    film = torch.rand(1, 1, 32, 32)

    in_place = [module for module in network.modules() if getattr(module, "inplace", False)]
    assert in_place
    assert not [module for module in ready.model.modules() if getattr(module, "inplace", False)]
    with torch.no_grad():
        torch.testing.assert_close(ready.model(film), network(film))


def test_trunk_is_read_where_it_ends_in_a_map(network: PooledClassifier) -> None:
    """The last feature map is that of the whole trunk."""
    ready = prepare(network, (1, 32, 32), BLACK)

    assert (ready.layer_name, ready.map_size) == ("features", (8, 8))


def test_map_of_one_place_is_passed_over() -> None:
    """LeNet-5 ends in 1 x 1: Grad-CAM reads the pool before it, where places are told apart."""
    options = architectures.options("lenet5")(name="lenet5")
    model = architectures.build(options, in_channels=1, outputs=1, side=28)

    ready = prepare(model, (1, 28, 28), BLACK)

    assert (ready.layer_name, ready.map_size) == ("features.5", (5, 5))


def test_network_without_places_is_refused() -> None:
    """Where no layer gives a map there is nothing to show, and the message says so."""
    flat = nn.AdaptiveAvgPool2d(1)
    model = Classifier(flat, nn.Sequential(nn.Flatten(), nn.Linear(1, 1)))

    with pytest.raises(ConfigError, match="no layer gives a feature map of 2 x 2"):
        prepare(model, (1, SIDE, SIDE), BLACK)


def test_probabilities_are_of_every_class() -> None:
    """One logit is that of the second of two classes; several share one whole."""
    film = torch.rand(3, 1, SIDE, SIDE)

    one, two = bright(), halves()

    assert (one.outputs, two.outputs) == (1, 2)
    for network in (one, two):
        given = network.probabilities(film)
        assert given.shape == (3, 2)
        torch.testing.assert_close(given.sum(dim=1), torch.ones(3))
    positive = torch.sigmoid(one.model(film))[:, 0].detach()
    torch.testing.assert_close(one.probabilities(film)[:, 1], positive)
