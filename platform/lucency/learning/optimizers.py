"""Optimisers and the learning rate over a run."""

import math
from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from lucency.registry import Family

optimizers: Family[torch.optim.Optimizer] = Family("optimizer", "lucency.learning.optimizers")


@optimizers.register("adamw")
def adamw(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    *,
    weight_decay: Annotated[float, Field(ge=0)] = 0.01,
) -> torch.optim.Optimizer:
    """
    Adam with decoupled weight decay, https://arxiv.org/abs/1711.05101.

    Biases and normalisation scales have one dimension and are not decayed.
    """
    listed = list(parameters)
    return torch.optim.AdamW(
        [
            {"params": [p for p in listed if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in listed if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
    )


def warm_up_cosine(step: int, steps: int, warm_up_steps: int) -> float:
    """
    Factor of the learning rate at a step: linear up, then half a cosine down to zero.

    Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983, without restarts.
    """
    if step < warm_up_steps:
        return (step + 1) / warm_up_steps
    done = (step - warm_up_steps) / max(1, steps - warm_up_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
