"""A small network for training from scratch on few films."""

from typing import Annotated

from pydantic import Field
from torch import nn

from lucency.models.base import Facts, PooledClassifier, PooledHead, Start, architecture

FACTS = Facts(
    summary="blocks of two 3x3 convolutions, for training from scratch on few films",
    source="this project",
    sides=(224, 64),
    channels=(1,),
    smallest_side=1,
    maps=True,
    start=Start(
        learning_rate=0.003,
        epochs=10,
        batch_size=32,
        optimizer={"name": "adamw", "weight_decay": 0.01},
    ),
)


@architecture("small", FACTS)
class Small(PooledClassifier):
    """
    Blocks of two 3x3 convolutions with batch normalisation; each block halves the side.

    The first convolution has stride 2: films are smooth at the scale of a pixel, and this
    layer would otherwise cost as much as all others.

    Args:
        width: Channels of the first block; doubled by each next one.
        blocks: Number of blocks; a side of s pixels ends as s / 2**blocks.
        dropout: Before the linear layer.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        width: Annotated[int, Field(ge=4, le=256)] = 16,
        blocks: Annotated[int, Field(ge=1, le=6)] = 4,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3,
    ) -> None:
        layers: list[nn.Module] = []
        before = in_channels
        for block in range(blocks):
            after = width * 2**block
            layers += [
                *_convolution(before, after, stride=2),
                *_convolution(after, after, stride=1),
            ]
            before = after
        super().__init__(nn.Sequential(*layers), PooledHead(before, outputs, dropout))


def _convolution(before: int, after: int, *, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]
