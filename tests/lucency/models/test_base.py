"""What every architecture promises: logits, maps whose means they are, options that are checked."""

from typing import Any

import pytest
import torch

from lucency.errors import ConfigError
from lucency.models.base import (
    Explained,
    PooledClassifier,
    PooledHead,
    architectures,
    feature_channels,
    parameters,
)

# One of each kind of trunk; every registered name is in test_family.
CASES: list[dict[str, Any]] = [
    {"name": "small", "width": 4, "blocks": 2},
    {"name": "backbone", "timm": "resnet10t"},
    {"name": "backbone", "timm": "mobilenetv3_small_050"},
    {"name": "backbone", "timm": "tf_efficientnet_lite0"},
    {"name": "backbone", "torchvision": "resnet18"},
    {"name": "backbone", "torchvision": "squeezenet1_1"},
    {"name": "backbone", "torchvision": "shufflenet_v2_x0_5"},
    {"name": "backbone", "torchvision": "densenet121"},
]


def build(case: dict[str, Any], in_channels: int = 1, outputs: int = 1) -> PooledClassifier:
    """A network by what YAML would say of it."""
    torch.manual_seed(0)
    options = architectures.options(case["name"])(**case)
    network = architectures.build(options, in_channels=in_channels, outputs=outputs, side=96)
    assert isinstance(network, PooledClassifier)
    return network.eval()


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_mean_of_a_map_is_the_logit(case: dict[str, Any]) -> None:
    """A class-activation map adds up to the answer that it explains, in one forward pass."""
    network = build(case, outputs=2)
    images_nchw = torch.rand(2, 1, 96, 96)

    with torch.no_grad():
        logits_nk, maps_nkhw = network.explain(images_nchw)
        alone_nk = network(images_nchw)

    assert logits_nk.shape == (2, 2)
    torch.testing.assert_close(maps_nkhw.mean(dim=(2, 3)), logits_nk, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone_nk, logits_nk)


def test_dropout_of_the_head_is_silent_when_answering() -> None:
    """In eval mode the head gives the same logits every time, whatever its dropout."""
    head = PooledHead(in_channels=3, outputs=1, dropout=0.9).eval()
    features_nchw = torch.rand(4, 3, 5, 7)

    first, second = head(features_nchw), head(features_nchw)

    assert torch.equal(first, second)
    torch.testing.assert_close(head.maps(features_nchw).mean(dim=(2, 3)), first)


def test_exported_graph_is_what_explain_gives() -> None:
    """The module that is exported returns logits and maps, in this order."""
    network = build(CASES[0])
    images_nchw = torch.rand(1, 1, 32, 32)

    logits_nk, maps_nkhw = Explained(network)(images_nchw)

    expected_nk, expected_nkhw = network.explain(images_nchw)
    assert torch.equal(logits_nk, expected_nk)
    assert torch.equal(maps_nkhw, expected_nkhw)


def test_frozen_parameters_are_counted_too() -> None:
    """The size of a network does not depend on which phase of training it is in."""
    network = torch.nn.Linear(3, 2)
    network.weight.requires_grad_(False)

    count = parameters(network)

    assert count == 3 * 2 + 2


@pytest.mark.parametrize("training", [True, False])
def test_counting_channels_leaves_the_mode_alone(training: bool) -> None:
    """Looking at a trunk once does not switch it between training and answering."""
    norm = torch.nn.BatchNorm2d(5)
    features = torch.nn.Sequential(torch.nn.Conv2d(1, 5, 3), norm).train(training)

    channels = feature_channels(features, in_channels=1)

    assert channels == 5
    assert features.training is training
    torch.testing.assert_close(norm.running_mean, torch.zeros(5))


def test_unknown_architecture_is_a_config_error() -> None:
    """A name that nothing is registered under is said with the names that there are."""
    with pytest.raises(ConfigError, match=r"'smal' is not known.*'backbone', .*'small'"):
        architectures.options("smal")
