"""Optimisers by name; biases and normalisation scales, of one dimension, are never decayed."""

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from lucency.registry import Family

optimizers: Family[torch.optim.Optimizer] = Family("optimizer", "lucency.learning.optimizers")

Decay = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


@optimizers.register("adamw")
def adamw(
    parameters: Iterable[nn.Parameter], learning_rate: float, *, weight_decay: Decay = 0.01
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay, https://arxiv.org/abs/1711.05101."""
    return torch.optim.AdamW(_groups(parameters, weight_decay), lr=learning_rate)


@optimizers.register("adam")
def adam(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    *,
    epsilon: Annotated[float, Field(gt=0)] = 1e-8,
    weight_decay: Decay = 0.0,
) -> torch.optim.Optimizer:
    """
    Adam, https://arxiv.org/abs/1412.6980.

    Args:
        epsilon: PyTorch's default; Keras' is 1e-7.
        weight_decay: Added to the gradient, as in L2 regularisation.
    """
    return torch.optim.Adam(_groups(parameters, weight_decay), lr=learning_rate, eps=epsilon)


@optimizers.register("sgd")
def sgd(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    *,
    momentum: Share = 0.9,
    nesterov: bool = True,
    weight_decay: Decay = 5e-4,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent; momentum as in Sutskever et al., 2013."""
    return torch.optim.SGD(
        _groups(parameters, weight_decay),
        lr=learning_rate,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
    )


def _groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    listed = list(parameters)
    return [
        {"params": [p for p in listed if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in listed if p.ndim <= 1], "weight_decay": 0.0},
    ]
