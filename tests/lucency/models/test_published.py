"""The four tutorial networks: exact sizes, exact shapes, Keras' start."""

import math

import pytest
import torch
from torch import nn

from lucency.models.base import Classifier, architectures, describe, parameters

PUBLISHED = [
    ("mnist_keras_cnn", 1, 28, 10, 225_034),
    ("cifar10_keras_cnn", 3, 32, 10, 160_202),
    ("mnist_torch_cnn", 1, 28, 10, 1_199_882),
    ("rice_keras_cnn", 3, 224, 5, 22_245_957),
]
KERAS = ["mnist_keras_cnn", "cifar10_keras_cnn", "rice_keras_cnn"]


def build(name: str, channels: int, side: int, classes: int) -> Classifier:
    """A network with default options."""
    torch.manual_seed(0)
    options = architectures.options(name)(name=name)
    return architectures.build(options, in_channels=channels, outputs=classes, side=side)


@pytest.mark.parametrize(("name", "channels", "side", "classes", "expected"), PUBLISHED)
def test_parameters_are_the_published_ones(
    name: str, channels: int, side: int, classes: int, expected: int
) -> None:
    """Not one weight more or less than its tutorial prints, at the form that the facts name."""
    network = build(name, channels, side, classes)

    assert parameters(network) == expected
    assert (side, channels) == (describe(name).sides[0], describe(name).channels[0])


@pytest.mark.parametrize(
    ("name", "channels", "side", "trail", "flat", "hidden"),
    [
        ("mnist_keras_cnn", 1, 28, [28, 26, 13, 11, 5], 1_600, 128),
        ("cifar10_keras_cnn", 3, 32, [32, 30, 15, 13, 6, 4, 2], 512, 128),
        ("mnist_torch_cnn", 1, 28, [28, 26, 24, 12], 9_216, 128),
        ("rice_keras_cnn", 3, 224, [224, 222, 111, 109, 54, 52, 26], 86_528, 256),
    ],
)
def test_sides_shrink_as_published(
    name: str, channels: int, side: int, trail: list[int], flat: int, hidden: int
) -> None:
    """Convolutions without padding and pools leave these sides; then flat > hidden > classes."""
    network = build(name, channels, side, 3).eval()
    features_nchw = torch.rand(1, channels, side, side)
    sides = [side]

    assert isinstance(network.features, nn.Sequential)
    for layer in network.features:
        features_nchw = layer(features_nchw)
        if not isinstance(layer, nn.ReLU):
            sides.append(features_nchw.shape[-1])

    dense = [layer for layer in network.head.modules() if isinstance(layer, nn.Linear)]
    assert sides == trail
    assert [layer.in_features for layer in dense] == [flat, hidden]


@pytest.mark.parametrize("name", KERAS)
def test_keras_twins_start_as_keras_does(name: str) -> None:
    """Kernels are uniform within sqrt(6 / (fan in + fan out)), biases are zero."""
    network = build(name, 3, 32, 10)
    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]

    for layer in layers:
        field = layer.weight[0, 0].numel()
        fans = (layer.weight.shape[0] + layer.weight.shape[1]) * field
        limit = math.sqrt(6 / fans)
        assert 0.95 * limit < float(layer.weight.detach().abs().max()) <= limit
        assert float(layer.weight.detach().std()) == pytest.approx(limit / math.sqrt(3), rel=0.1)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_torch_twin_starts_as_torch_does() -> None:
    """The PyTorch tutorial's network keeps PyTorch's own start: its biases are not zero."""
    network = build("mnist_torch_cnn", 1, 28, 10)

    assert all(bool(p.any()) for name, p in network.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("name", KERAS)
def test_keras_optimiser_is_suggested(name: str) -> None:
    """Adam at 0.001 with Keras' epsilon: with PyTorch's the figures would not compare."""
    start = describe(name).start

    assert start.learning_rate == 0.001
    assert start.optimizer == {"name": "adam", "epsilon": 1e-7}


def test_rice_drops_out_three_in_ten() -> None:
    """Dropout stands before the last layer at the published rate; the others have none."""
    rates = {
        name: [m.p for m in build(name, 3, 32, 5).modules() if isinstance(m, nn.Dropout)]
        for name in ("rice_keras_cnn", "cifar10_keras_cnn")
    }

    assert rates == {"rice_keras_cnn": [0.3], "cifar10_keras_cnn": [0.0]}
