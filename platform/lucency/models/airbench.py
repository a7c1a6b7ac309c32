"""A plain chain of convolutions that reaches 94 % on CIFAR-10 in few epochs."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lucency.models.base import (
    Facts,
    PooledClassifier,
    PooledHead,
    Start,
    architecture,
    surviving_side,
)

FACTS = Facts(
    summary="seven convolutions without shortcuts, for small images and few epochs",
    source="Jordan, 2024, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU; "
    "https://arxiv.org/abs/2404.00498",
    sides=(32, 28, 64),
    channels=(3,),
    smallest_side=9,
    maps=True,
    start=Start(
        learning_rate=0.002,
        epochs=10,
        batch_size=128,
        optimizer={"name": "adamw", "weight_decay": 0.05},
    ),
)

# The running statistics follow the last few batches: weights move fast until the very end.
_MOMENTUM = 0.4
# What is s times a parameter learns s * s times as fast: 64 times, as published.
_SHIFT_SCALE = 8.0
# The same for a linear layer whose inputs are scaled. Published is a ninth, of maxima.
_FEATURE_SCALE = 1 / 3


@architecture("airbench", FACTS)
class Airbench(PooledClassifier):
    """
    Jordan's network: patches of 2x2 pixels made independent, then three stages of two convolutions.

    Published with a first layer computed from training images (eigenvectors of their patches,
    scaled to unit variance) that never learns, and with logits from a maximum. Here the first
    layer starts as sums and differences of a patch's pixels and of its channels, which is close
    to those eigenvectors on any photographs; normalisation scales them. It learns. The head
    averages, so that it gives class-activation maps.

    Args:
        width: Channels of the first stage; the others have four times as many. 64 as published
            (2.0 million parameters).
        dropout: Before the linear layer.

    Raises:
        ConfigError: the image has fewer than 9 pixels a side.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        width: Annotated[int, Field(ge=4, le=256)] = 64,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        patches = _patches(in_channels)
        features = nn.Sequential(
            patches,
            nn.BatchNorm2d(patches.out_channels),
            nn.GELU(),
            *_stage(patches.out_channels, width),
            *_stage(width, 4 * width),
            *_stage(4 * width, 4 * width),
            _Scaled(),
        )
        surviving_side("airbench", features, side)
        super().__init__(features, PooledHead(4 * width, outputs, dropout))


class ShiftedNorm(nn.BatchNorm2d):
    """
    Batch normalisation that shifts but does not scale, and whose shifts learn fast.

    The next convolution's weights would undo a scale; a shift moves where the activation bends.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=_MOMENTUM)
        self.register_parameter("weight", None)

    def forward(self, input: Tensor) -> Tensor:
        """Normalised, n x c x h x w."""
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            bias=self.bias * _SHIFT_SCALE,
            training=self.training,
            momentum=_MOMENTUM,
            eps=self.eps,
        )


class _Scaled(nn.Module):
    """Features times a constant: the rate that suits the convolutions is too fast for the head."""

    def forward(self, features_nchw: Tensor) -> Tensor:
        return features_nchw * _FEATURE_SCALE


def _stage(before: int, after: int) -> list[nn.Module]:
    """Two convolutions, the side halved after the first."""
    return [
        _convolution(before, after),
        nn.MaxPool2d(2),
        ShiftedNorm(after),
        nn.GELU(),
        _convolution(after, after),
        ShiftedNorm(after),
        nn.GELU(),
    ]


def _convolution(before: int, after: int) -> nn.Conv2d:
    """Starts by handing its input on, in as many channels as both sides have."""
    layer = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[: min(before, after)])
    return layer


def _patches(in_channels: int) -> nn.Conv2d:
    """Every sum and difference within a patch of 2x2 pixels and its channels, with either sign."""
    over_pixels, over_channels = _cosines(2), _cosines(in_channels)
    kernels = torch.einsum("ac,by,dx->abdcyx", over_channels, over_pixels, over_pixels)
    kernels = kernels.reshape(-1, in_channels, 2, 2)
    layer = nn.Conv2d(in_channels, 2 * len(kernels), kernel_size=2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.cat([kernels, -kernels]))
    return layer


def _cosines(length: int) -> Tensor:
    """The cosine transform, orthonormal: row 0 is the mean, the others are differences."""
    places = torch.arange(length)
    rows = torch.cos(torch.pi / length * (places + 0.5) * places[:, None])
    return F.normalize(rows, dim=1)
