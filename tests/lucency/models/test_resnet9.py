"""The residual network for small images: published size, stages, shortcuts."""

from typing import Any

import torch
from torch import nn

from lucency.models.base import PooledClassifier, architectures, parameters


def build(**options: Any) -> PooledClassifier:
    """A network by what YAML would say of it, ten classes in colour of 32 px."""
    model = architectures.options("resnet9")(name="resnet9", **options)
    network = architectures.build(model, in_channels=3, outputs=10, side=32)
    assert isinstance(network, PooledClassifier)
    return network


def test_parameters_are_the_published_ones() -> None:
    """At width 64 the network has Page's 6,573,120 weights, and ten biases of the last layer."""
    with torch.device("meta"):
        assert parameters(build()) == 6_573_130


def test_stages_halve_the_side_and_double_the_channels() -> None:
    """Three pools leave 4 of 32 pixels, in eight times as many channels."""
    features_nchw = build(width=4).eval().features(torch.rand(1, 3, 32, 32))

    assert features_nchw.shape == (1, 32, 4, 4)


def test_residual_blocks_add_to_what_they_get() -> None:
    """A block whose last scale and shift are zero hands its input on."""
    network = build(width=4).eval()
    blocks = [layer for layer in network.features.modules() if hasattr(layer, "block")]
    features_nchw = torch.randn(1, 8, 5, 5)

    norm = [m for m in blocks[0].modules() if isinstance(m, nn.BatchNorm2d)][-1]
    nn.init.zeros_(norm.weight)

    assert len(blocks) == 2
    assert torch.equal(blocks[0](features_nchw), features_nchw)
