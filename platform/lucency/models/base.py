"""The architecture family, and the head whose class-activation map costs no backward pass."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucency.registry import Family


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


class PooledClassifier(nn.Module):
    """Any convolutional trunk with a pooled head."""

    def __init__(self, features: nn.Module, head: PooledHead) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, images_nchw: Tensor) -> Tensor:
        """Logits, n x k."""
        logits: Tensor = self.head(self.features(images_nchw))
        return logits

    def explain(self, images_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """Logits n x k and class-activation maps n x k x h x w, in one forward pass."""
        features = self.features(images_nchw)
        return self.head(features), self.head.maps(features)


class Architecture(Protocol):
    """What the platform gives an architecture; its own options follow as keywords."""

    def __call__(self, in_channels: int, outputs: int) -> PooledClassifier: ...


architectures: Family[PooledClassifier] = Family("architecture", "lucency.models")


class Explained(nn.Module):
    """The graph that is exported: one input, outputs ``logits`` and ``maps``."""

    def __init__(self, classifier: PooledClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images_nchw: Tensor) -> tuple[Tensor, Tensor]:
        """Logits n x k and class-activation maps n x k x h x w."""
        return self.classifier.explain(images_nchw)


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
