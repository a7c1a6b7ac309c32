"""The small variants keep what makes AlexNet and VGG what they are."""

from typing import Any

import pytest
import torch
from torch import nn

from lucency.models.base import Classifier, architectures, parameters


def build(name: str, side: int = 32, **options: Any) -> Classifier:
    """A network by what YAML would say of it, ten classes in colour."""
    model = architectures.options(name)(name=name, **options)
    return architectures.build(model, in_channels=3, outputs=10, side=side)


def kernels(network: Classifier) -> list[tuple[int, int]]:
    """Channels and filter side of each convolution."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    return [(layer.out_channels, layer.kernel_size[0]) for layer in layers]


def test_alexnet_keeps_its_proportions() -> None:
    """Two large filters, then 3x3, with torchvision's channels at the default width."""
    assert kernels(build("alexnet_small")) == [(64, 5), (192, 5), (384, 3), (256, 3), (256, 3)]


def test_alexnet_pools_overlap() -> None:
    """Pools of 3x3 step by two, as in the paper; three of them leave 3 of 32 pixels."""
    network = build("alexnet_small", width=4, hidden=8).eval()
    pools = [layer for layer in network.modules() if isinstance(layer, nn.MaxPool2d)]

    assert [(pool.kernel_size, pool.stride) for pool in pools] == [(3, 2)] * 3
    assert network.features(torch.rand(1, 3, 32, 32)).shape == (1, 16, 3, 3)


def test_vgg_has_only_small_filters() -> None:
    """Pairs of 3x3 convolutions whose channels double after each pool."""
    network = build("vgg_small", width=8)

    assert kernels(network) == [(8, 3), (8, 3), (16, 3), (16, 3), (32, 3), (32, 3)]


@pytest.mark.parametrize("batch_norm", [True, False])
def test_vgg_normalises_on_request(batch_norm: bool) -> None:
    """Six normalisations replace six biases, or none is there."""
    network = build("vgg_small", width=8, batch_norm=batch_norm)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    biases = [m.bias for m in network.features.modules() if isinstance(m, nn.Conv2d)]

    assert len(norms) == (6 if batch_norm else 0)
    assert all((bias is None) is batch_norm for bias in biases)


@pytest.mark.parametrize("name", ["alexnet_small", "vgg_small"])
def test_small_variants_are_a_tenth_of_the_large(name: str) -> None:
    """At default options both have less than six million parameters."""
    with torch.device("meta"):
        assert parameters(build(name)) < 6_000_000
