"""The architecture family: what a classifier is, its facts, and the head that explains itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucency.errors import ConfigError
from lucency.registry import Family


class Classifier(nn.Module):
    """
    A trunk and a head.

    Attributes:
        features: Images n x c x h x w to features n x d x h x w; what a head-only phase leaves
            as it is.
        head: Features to logits n x k.
    """

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits, n x k."""
        logits: Tensor = self.head(self.features(images_nchw))
        return logits


class PooledHead(nn.Module):
    """
    Global average pooling > dropout > linear.

    Pooling and a linear layer commute, so the linear layer applied at each place gives a
    map whose mean is the logit: the class-activation map of Zhou et al., 2016,
    https://arxiv.org/abs/1512.04150.
    """

    def __init__(self, in_channels: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_channels, outputs)

    def forward(self, features_nchw: Tensor) -> Tensor:
        """Logits, n x k."""
        logits: Tensor = self.linear(self.dropout(features_nchw.mean(dim=(2, 3))))
        return logits

    def maps(self, features_nchw: Tensor) -> Tensor:
        """Class-activation maps, n x k x h x w, whose means over h and w are the logits."""
        return F.conv2d(features_nchw, self.linear.weight[:, :, None, None], self.linear.bias)


class PooledClassifier(Classifier):
    """Any convolutional trunk with a pooled head: the one kind that has class-activation maps."""

    head: PooledHead

    def __init__(self, features: nn.Module, head: PooledHead) -> None:
        super().__init__(features, head)

    def explain(self, images_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """Logits n x k and class-activation maps n x k x h x w, in one forward pass."""
        features = self.features(images_nchw)
        return self.head(features), self.head.maps(features)


class Explained(nn.Module):
    """
    The graph that is exported: one input, the tensors that ``outputs`` names.

    Attributes:
        outputs: ``logits``, and ``maps`` where the head has them.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        pooled = isinstance(classifier, PooledClassifier)
        self.outputs = ("logits", "maps") if pooled else ("logits",)

    def forward(self, images_nchw: Tensor) -> tuple[Tensor, ...]:
        """Logits n x k and, from a pooled head, class-activation maps n x k x h x w."""
        if isinstance(self.classifier, PooledClassifier):
            return self.classifier.explain(images_nchw)
        return (self.classifier(images_nchw),)


class Architecture(Protocol):
    """
    What the platform gives an architecture; its own options follow as keywords.

    ``side`` is that of the square input in pixels: heads that flatten depend on it.
    """

    def __call__(self, in_channels: int, outputs: int, side: int) -> Classifier: ...


architectures: Family[Classifier] = Family("architecture", "lucency.models")


@dataclass(frozen=True)
class Start:
    """
    Settings to begin from when nothing better is known for the data at hand.

    Attributes:
        optimizer: Its name and options, as a recipe spells them.
    """

    learning_rate: float
    epochs: int
    batch_size: int
    optimizer: Mapping[str, Any] = field(default_factory=lambda: {"name": "adamw"})


@dataclass(frozen=True)
class Facts:
    """
    What is known of an architecture without building it.

    Attributes:
        summary: One line for tables.
        source: Who published it, and where.
        sides: Input sides in pixels that it is meant for, the usual one first.
        channels: Input channels of its published form; both 1 and 3 are taken by all.
        smallest_side: With default options; None where the options decide (any backbone).
        maps: Whether its head gives class-activation maps.
    """

    summary: str
    source: str
    sides: tuple[int, ...]
    channels: tuple[int, ...]
    smallest_side: int | None
    maps: bool
    start: Start


_FACTS: dict[str, Facts] = {}
A = TypeVar("A", bound=Callable[..., Classifier])


def architecture(name: str, facts: Facts) -> Callable[[A], A]:
    """Decorator: register an architecture under a name, with its facts."""

    def add(component: A) -> A:
        registered = architectures.register(name)(component)
        _FACTS[name] = facts
        return registered

    return add


def describe(name: str) -> Facts:
    """
    The facts of a registered architecture; nothing is built.

    Raises:
        ConfigError: nothing is registered under that name.
    """
    architectures.options(name)
    return _FACTS[name]


def parameters(model: nn.Module) -> int:
    """Number of trainable and frozen parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def feature_channels(features: nn.Module, in_channels: int, side: int = 224) -> int:
    """Channels that a trunk gives, found by running it once on an empty image."""
    was_training = features.training
    features.eval()
    with torch.no_grad():
        found = int(features(torch.zeros(1, in_channels, side, side)).shape[1])
    features.train(was_training)
    return found


def side_after(features: nn.Module, side: int) -> int:
    """
    Side of the features of a chain of square convolutions and pools, without running it.

    0 where a window finds no room.
    """
    for layer in features.modules():
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            assert not isinstance(layer.padding, str)
            kernel, stride, padding = (
                value if isinstance(value, int) else value[0]
                for value in (layer.kernel_size, layer.stride, layer.padding)
            )
            side = (side + 2 * padding - kernel) // stride + 1
            if side < 1:
                return 0
    return side


def surviving_side(name: str, features: nn.Module, side: int) -> int:
    """
    ``side_after``, for a network that a person named.

    Raises:
        ConfigError: nothing is left of the image before the last layer.
    """
    after = side_after(features, side)
    if after < 1:
        smallest = next(each for each in count(1) if side_after(features, each))
        raise too_small(name, side, smallest)
    return after


def too_small(name: str, side: int, smallest: int) -> ConfigError:
    """The error for an input that a network's strides and pools would reduce to nothing."""
    return ConfigError(
        f"network {name!r} takes images of {smallest} px a side or more, preprocess.size is "
        f"{side}: enlarge it, or choose a network for small images"
    )
