"""LeNet, AlexNet and VGG: the three steps from digits to deep networks, at their own sizes."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from lucency.models import libraries
from lucency.models import weights as published
from lucency.models.base import Classifier, Facts, Start, architecture, surviving_side

Dropout = Annotated[float, Field(ge=0, lt=1)]
Hidden = Annotated[int, Field(ge=8, le=8192)]
_LENET_SIDE = 32
# torchvision's letters for the configurations of Simonyan and Zisserman, table 1.
_VGG = {11: "A", 13: "B", 16: "D", 19: "E"}


@architecture(
    "lenet5",
    Facts(
        summary="three 5x5 convolutions, two pools, a dense layer of 84",
        source="LeCun et al., 1998, Gradient-Based Learning Applied to Document Recognition",
        sides=(28, 32),
        channels=(1,),
        smallest_side=28,
        maps=False,
        start=Start(learning_rate=0.001, epochs=10, batch_size=64, optimizer={"name": "adam"}),
    ),
)
class LeNet5(Classifier):
    """
    The sizes of 1998: 6, 16 and 120 maps, 84 units; 61,706 parameters for ten digits.

    Images under 32 px are padded by two pixels, as the paper pads its digits. Simpler than
    there: every map of the second convolution sees all six of the first, pools have no weights,
    tanh is not scaled, and the last layer is linear instead of radial.

    Args:
        activation: ``tanh`` as in 1998, or ``relu``.
        pool: ``average`` as in 1998, or ``max``.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        activation: Literal["tanh", "relu"] = "tanh",
        pool: Literal["average", "max"] = "average",
    ) -> None:
        active = nn.Tanh if activation == "tanh" else nn.ReLU
        pooled = nn.AvgPool2d if pool == "average" else nn.MaxPool2d
        features = nn.Sequential(
            nn.Conv2d(in_channels, 6, kernel_size=5, padding=2 if side < _LENET_SIDE else 0),
            active(),
            pooled(2),
            nn.Conv2d(6, 16, kernel_size=5),
            active(),
            pooled(2),
            nn.Conv2d(16, 120, kernel_size=5),
            active(),
        )
        after = surviving_side("lenet5", features, side)
        head = nn.Sequential(
            nn.Flatten(), nn.Linear(120 * after**2, 84), active(), nn.Linear(84, outputs)
        )
        super().__init__(features, head)


@architecture(
    "alexnet",
    Facts(
        summary="five convolutions from 11x11 to 3x3, overlapping pools, three dense layers",
        source="Krizhevsky, 2014, https://arxiv.org/abs/1404.5997, after Krizhevsky et al., 2012",
        sides=(224,),
        channels=(3,),
        smallest_side=63,
        maps=False,
        start=Start(learning_rate=0.0001, epochs=20, batch_size=128, optimizer={"name": "adam"}),
    ),
)
class AlexNet(Classifier):
    """
    torchvision's AlexNet: ReLU, dropout, a large first filter; one tower instead of two.

    61,100,840 parameters for 224 px, three channels, 1000 classes.

    Args:
        hidden: Units of the two dense layers; weights are published for 4096.
        weights: ``none``, ``cache`` or a file for torchvision's ``alexnet``; all layers but the
            last are filled.
        dropout: Before each of the two hidden dense layers.

    Raises:
        ConfigError: the image has fewer than 63 pixels a side.
        WeightsError: the weights are not there or belong to another network.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        hidden: Hidden = 4096,
        weights: str = "none",
        dropout: Dropout = 0.5,
    ) -> None:
        network = libraries.torchvision().models.alexnet(weights=None)
        surviving_side("alexnet", network.features, side)
        published.adapt_first_convolution(network.features, in_channels)
        dense = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, outputs),
        )
        super().__init__(network.features, _DenseHead(6, dense))
        if weights != "none":
            published.fill(self, "torchvision", "alexnet", weights, keep=_last(dense))


class VGG(Classifier):
    """
    torchvision's VGG: 3x3 convolutions only, 64 to 512 channels, five pools, three dense layers.

    138,357,544 parameters at a depth of 16 for 224 px, three channels, 1000 classes.

    Args:
        batch_norm: After each convolution; without it the deep ones hardly start from scratch.
        hidden: Units of the two dense layers; weights are published for 4096.
        weights: ``none``, ``cache`` or a file for torchvision's network of the same name; all
            layers but the last are filled.
        dropout: After each of the two hidden dense layers.

    Raises:
        ConfigError: the image has fewer than 32 pixels a side.
        WeightsError: the weights are not there or belong to another network.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        batch_norm: bool = False,
        hidden: Hidden = 4096,
        weights: str = "none",
        dropout: Dropout = 0.5,
    ) -> None:
        vgg = libraries.torchvision().models.vgg
        features = vgg.make_layers(vgg.cfgs[_VGG[depth]], batch_norm=batch_norm)
        surviving_side(f"vgg{depth}", features, side)
        published.adapt_first_convolution(features, in_channels)
        dense = nn.Sequential(
            nn.Linear(512 * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )
        super().__init__(features, _DenseHead(7, dense))
        self.apply(_vgg_start)
        if weights != "none":
            name = f"vgg{depth}_bn" if batch_norm else f"vgg{depth}"
            published.fill(self, "torchvision", name, weights, keep=_last(dense))


for _depth in _VGG:
    architecture(
        f"vgg{_depth}",
        Facts(
            summary=f"{_depth - 3} convolutions, all 3x3, and three dense layers",
            source="Simonyan and Zisserman, 2015, https://arxiv.org/abs/1409.1556",
            sides=(224,),
            channels=(3,),
            smallest_side=32,
            maps=False,
            start=Start(learning_rate=0.0001, epochs=20, batch_size=64, optimizer={"name": "adam"}),
        ),
    )(partial(VGG, _depth))


class _DenseHead(nn.Module):
    """Features averaged to a fixed side, flattened, then dense layers under torchvision's name."""

    def __init__(self, side: int, classifier: nn.Sequential) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.flatten = nn.Flatten()
        self.classifier = classifier

    def forward(self, features_nchw: Tensor) -> Tensor:
        """Logits, n x k."""
        logits: Tensor = self.classifier(self.flatten(self.pool(features_nchw)))
        return logits


def _last(dense: nn.Sequential) -> tuple[str]:
    return (f"head.classifier.{len(dense) - 1}.",)


def _vgg_start(layer: nn.Module) -> None:
    """torchvision's: He et al., 2015, for convolutions, https://arxiv.org/abs/1502.01852."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, 0, 0.01)
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
