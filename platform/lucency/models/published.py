"""
Four small networks of widely read tutorials, layer for layer.

Those of Keras start from Keras' distributions: kernels uniform by Glorot and Bengio, 2010,
https://proceedings.mlr.press/v9/glorot10a.html, biases zero. Keras' Adam takes epsilon 1e-7
(PyTorch's 1e-8) at a learning rate of 0.001; with both set, figures compare. One difference
stays without effect on them: Keras flattens channels last, PyTorch channels first, so the rows
of the first dense kernel stand in another order, and weights can't be copied as they are.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import nn

from lucency.models.base import Classifier, Facts, Start, architecture, surviving_side

KERAS_ADAM = {"name": "adam", "epsilon": 1e-7}
Dropout = Annotated[float, Field(ge=0, lt=1)]


@architecture(
    "mnist_keras_cnn",
    Facts(
        summary="two convolutions with pools and a dense layer of 128; 225,034 parameters",
        source="Keras tutorial form for MNIST",
        sides=(28,),
        channels=(1,),
        smallest_side=10,
        maps=False,
        start=Start(learning_rate=0.001, epochs=5, batch_size=64, optimizer=KERAS_ADAM),
    ),
)
class MnistKerasCNN(Classifier):
    """
    Twice convolution 3x3 (32, 64) and pool, then dense 128.

    225,034 parameters for 28 px, one channel, ten classes. Keras' Adam: learning rate 0.001,
    epsilon 1e-7.

    Args:
        dropout: Before the last layer; the published network has none.
    """

    def __init__(
        self, in_channels: int, outputs: int, side: int, *, dropout: Dropout = 0.0
    ) -> None:
        features = _pooled_chain(in_channels, (32, 64))
        head = _dense_head("mnist_keras_cnn", features, side, 128, dropout, outputs)
        super().__init__(features, head)
        self.apply(_keras_start)


@architecture(
    "cifar10_keras_cnn",
    Facts(
        summary="three convolutions with pools and a dense layer of 128; 160,202 parameters",
        source="Keras tutorial form for CIFAR-10",
        sides=(32,),
        channels=(3,),
        smallest_side=22,
        maps=False,
        start=Start(learning_rate=0.001, epochs=10, batch_size=64, optimizer=KERAS_ADAM),
    ),
)
class Cifar10KerasCNN(Classifier):
    """
    Three times convolution 3x3 (32, 64, 128) without padding and pool, then dense 128.

    160,202 parameters for 32 px, three channels, ten classes: only without padding, where
    2 x 2 x 128 values reach the dense layer. Keras' Adam: learning rate 0.001, epsilon 1e-7.

    Args:
        dropout: Before the last layer; the published network has none.
    """

    def __init__(
        self, in_channels: int, outputs: int, side: int, *, dropout: Dropout = 0.0
    ) -> None:
        features = _pooled_chain(in_channels, (32, 64, 128))
        head = _dense_head("cifar10_keras_cnn", features, side, 128, dropout, outputs)
        super().__init__(features, head)
        self.apply(_keras_start)


@architecture(
    "mnist_torch_cnn",
    Facts(
        summary="two convolutions, one pool and a dense layer of 128; 1,199,882 parameters",
        source="PyTorch tutorial form for MNIST",
        sides=(28,),
        channels=(1,),
        smallest_side=6,
        maps=False,
        start=Start(learning_rate=0.001, epochs=5, batch_size=64, optimizer={"name": "adam"}),
    ),
)
class MnistTorchCNN(Classifier):
    """
    Convolutions 3x3 of 32 and 64, one pool, then dense 128; PyTorch's own start-up values.

    1,199,882 parameters for 28 px, one channel, ten classes; sides 28, 26, 24, 12. Adam:
    learning rate 0.001, epsilon 1e-8.

    Args:
        dropout: Before the last layer; the published network has none.
    """

    def __init__(
        self, in_channels: int, outputs: int, side: int, *, dropout: Dropout = 0.0
    ) -> None:
        features = nn.Sequential(
            nn.Conv2d(in_channels, 32, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        head = _dense_head("mnist_torch_cnn", features, side, 128, dropout, outputs)
        super().__init__(features, head)


@architecture(
    "rice_keras_cnn",
    Facts(
        summary="three convolutions with pools and a dense layer of 256; 22,245,957 parameters",
        source="Keras tutorial form for the rice images of Koklu et al., 2021, "
        "https://doi.org/10.1016/j.compag.2021.106285",
        sides=(224,),
        channels=(3,),
        smallest_side=22,
        maps=False,
        start=Start(learning_rate=0.001, epochs=10, batch_size=32, optimizer=KERAS_ADAM),
    ),
)
class RiceKerasCNN(Classifier):
    """
    Three times convolution 3x3 (32, 64, 128) and pool, then dense 256 with dropout.

    22,245,957 parameters for 224 px, three channels, five classes, of which the dense layer
    has 22,151,424. Keras' Adam: learning rate 0.001, epsilon 1e-7.

    Args:
        dropout: Before the last layer; 0.3 as published.
    """

    def __init__(
        self, in_channels: int, outputs: int, side: int, *, dropout: Dropout = 0.3
    ) -> None:
        features = _pooled_chain(in_channels, (32, 64, 128))
        head = _dense_head("rice_keras_cnn", features, side, 256, dropout, outputs)
        super().__init__(features, head)
        self.apply(_keras_start)


def _pooled_chain(in_channels: int, filters: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip((in_channels, *filters), filters, strict=False):
        layers += [
            nn.Conv2d(before, after, kernel_size=3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers)


def _dense_head(
    name: str, features: nn.Sequential, side: int, hidden: int, dropout: float, outputs: int
) -> nn.Sequential:
    after = surviving_side(name, features, side)
    channels = [layer.out_channels for layer in features if isinstance(layer, nn.Conv2d)]
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels[-1] * after**2, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, outputs),
    )


def _keras_start(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
