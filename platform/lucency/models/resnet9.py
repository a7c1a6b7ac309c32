"""A residual network for images of 28 to 64 pixels that learns in few epochs."""

from typing import Annotated

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
    summary="eight convolutions with two residual blocks, for small images and few epochs",
    source="Page, 2018, How to Train Your ResNet; https://github.com/davidcpage/cifar10-fast",
    sides=(32, 28, 64),
    channels=(3,),
    smallest_side=8,
    maps=True,
    start=Start(
        learning_rate=0.003,
        epochs=10,
        batch_size=128,
        optimizer={"name": "adamw", "weight_decay": 0.05},
    ),
)


@architecture("resnet9", FACTS)
class ResNet9(PooledClassifier):
    """
    Page's network of the DAWNBench entry (94 % on CIFAR-10 in 24 epochs), with a pooled head.

    Convolution > three stages that double the channels and halve the side, the first and the
    last with a residual block. Page pools the last features by their maximum and scales the
    logits by 1/8; here they are averaged, so that the head gives class-activation maps.

    Args:
        width: Channels of the first convolution; 64 as published (6.6 million parameters).
            Cost and parameters grow with its square.
        dropout: Before the linear layer.

    Raises:
        ConfigError: the image has fewer than 8 pixels a side.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        width: Annotated[int, Field(ge=4, le=512)] = 64,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        features = nn.Sequential(
            *_convolution(in_channels, width),
            *_stage(width, 2 * width),
            _Residual(2 * width),
            *_stage(2 * width, 4 * width),
            *_stage(4 * width, 8 * width),
            _Residual(8 * width),
        )
        surviving_side("resnet9", features, side)
        super().__init__(features, PooledHead(8 * width, outputs, dropout))


class _Residual(nn.Module):
    """Two convolutions whose result is added to what went in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *_convolution(channels, channels), *_convolution(channels, channels)
        )

    def forward(self, features_nchw: Tensor) -> Tensor:
        changed: Tensor = self.block(features_nchw)
        return features_nchw + changed


def _stage(before: int, after: int) -> list[nn.Module]:
    return [*_convolution(before, after), nn.MaxPool2d(2)]


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]
