"""AlexNet and VGG at the scale of 28 and 32 pixels: the same ideas, fewer pools and units."""

from typing import Annotated

from pydantic import Field
from torch import nn

from lucency.models.base import Classifier, Facts, Start, architecture, surviving_side

Dropout = Annotated[float, Field(ge=0, lt=1)]
Hidden = Annotated[int, Field(ge=8, le=8192)]
Width = Annotated[int, Field(ge=4, le=512)]


@architecture(
    "alexnet_small",
    Facts(
        summary="five convolutions from 5x5 to 3x3, overlapping pools, three dense layers",
        source="after Krizhevsky et al., 2012, ImageNet Classification with Deep CNNs",
        sides=(32, 28),
        channels=(3,),
        smallest_side=15,
        maps=False,
        start=Start(learning_rate=0.0005, epochs=15, batch_size=128, optimizer={"name": "adam"}),
    ),
)
class AlexNetSmall(Classifier):
    """
    AlexNet with 5x5 filters of stride 1 in front, which leave a small image its pixels.

    Channels are in AlexNet's proportions: w, 3 w, 6 w, 4 w, 4 w. Pools of 3x3 overlap, as there.

    Args:
        width: Channels w of the first convolution; 64 are those of torchvision's AlexNet.
        hidden: Units of the two dense layers.
        dropout: Before each of the two hidden dense layers.

    Raises:
        ConfigError: the image has fewer than 15 pixels a side.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        width: Width = 64,
        hidden: Hidden = 1024,
        dropout: Dropout = 0.5,
    ) -> None:
        features = nn.Sequential(
            *_convolution(in_channels, width, kernel=5),
            nn.MaxPool2d(3, stride=2),
            *_convolution(width, 3 * width, kernel=5),
            nn.MaxPool2d(3, stride=2),
            *_convolution(3 * width, 6 * width),
            *_convolution(6 * width, 4 * width),
            *_convolution(4 * width, 4 * width),
            nn.MaxPool2d(3, stride=2),
        )
        after = surviving_side("alexnet_small", features, side)
        head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(4 * width * after**2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, outputs),
        )
        super().__init__(features, head)


@architecture(
    "vgg_small",
    Facts(
        summary="three pairs of 3x3 convolutions with a pool each, two dense layers",
        source="after Simonyan and Zisserman, 2015, https://arxiv.org/abs/1409.1556",
        sides=(32, 28),
        channels=(3,),
        smallest_side=8,
        maps=False,
        start=Start(learning_rate=0.001, epochs=15, batch_size=128, optimizer={"name": "adam"}),
    ),
)
class VGGSmall(Classifier):
    """
    VGG's pairs of 3x3 convolutions, three pools instead of five, one hidden dense layer.

    Args:
        width: Channels of the first pair; doubled by each next one.
        batch_norm: After each convolution.
        hidden: Units of the dense layer.
        dropout: Before and after the hidden dense layer.

    Raises:
        ConfigError: the image has fewer than 8 pixels a side.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        width: Width = 64,
        batch_norm: bool = True,
        hidden: Hidden = 256,
        dropout: Dropout = 0.5,
    ) -> None:
        layers: list[nn.Module] = []
        before = in_channels
        for after in (width, 2 * width, 4 * width):
            layers += [
                *_convolution(before, after, batch_norm=batch_norm),
                *_convolution(after, after, batch_norm=batch_norm),
                nn.MaxPool2d(2),
            ]
            before = after
        features = nn.Sequential(*layers)
        flat = before * surviving_side("vgg_small", features, side) ** 2
        head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(flat, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )
        super().__init__(features, head)


def _convolution(
    before: int, after: int, *, kernel: int = 3, batch_norm: bool = False
) -> list[nn.Module]:
    """Convolution that keeps the side, then ReLU; normalised in between where asked."""
    return [
        nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=not batch_norm),
        *([nn.BatchNorm2d(after)] if batch_norm else []),
        nn.ReLU(inplace=True),
    ]
