"""Networks that a test can afford, and what tests of many of them share."""

from typing import Any

import torch
from torch import nn

from lucency.models.base import Classifier

# Widths at which a test takes a second; what an option does not change is at full size.
NARROW: dict[str, dict[str, Any]] = {
    "alexnet": {"hidden": 64},
    "alexnet_small": {"width": 8, "hidden": 64},
    "airbench": {"width": 8},
    "backbone": {"timm": "resnet10t"},
    "resnet9": {"width": 8},
    "small": {"width": 4, "blocks": 2},
    "vgg11": {"hidden": 64},
    "vgg13": {"hidden": 64},
    "vgg16": {"hidden": 64},
    "vgg19": {"hidden": 64},
    "vgg_small": {"width": 8, "hidden": 8},
}


def spread(network: Classifier, images_nchw: torch.Tensor) -> None:
    """Centre and scale the last layer so that logits differ: equal ones would hide any error."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.bias.zero_()
        last.weight.div_(network(images_nchw).std())


def assert_close_probabilities(found_nk: torch.Tensor, expected_nk: torch.Tensor) -> None:
    """Within 1e-4, of several classes and of each class alone."""
    for probabilities in (lambda logits_nk: logits_nk.softmax(1), torch.sigmoid):
        torch.testing.assert_close(
            probabilities(found_nk), probabilities(expected_nk), atol=1e-4, rtol=0
        )
