"""
Optimisers by name, over groups of parameters with their own share of the learning rate.

Biases, normalisation and other scales, of one dimension, are never decayed. Every entry of
``param_groups`` keeps its ``factor``: a step's rate is the schedule's rate times it.
"""

import importlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field
from torch import nn

from lucency.registry import Family

optimizers: Family[torch.optim.Optimizer] = Family("optimizer", "lucency.learning.optimizers")

Decay = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Group(Protocol):
    """
    Parameters that learn at one rate, as ``models.blocks.groups`` gives them.

    Attributes:
        factor: Of the learning rate.
        hidden: Whether their matrices lie between the network's first layer and its last.
    """

    @property
    def parameters(self) -> Sequence[nn.Parameter]: ...
    @property
    def factor(self) -> float: ...
    @property
    def hidden(self) -> bool: ...


@optimizers.register("adamw")
def adamw(
    groups: Iterable[Group], learning_rate: float, *, weight_decay: Decay = 0.01
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay, https://arxiv.org/abs/1711.05101."""
    merged = _merged(groups, learning_rate, weight_decay)
    # Fused: one pass over the parameters instead of ten.
    return torch.optim.AdamW(merged, lr=learning_rate, fused=True)


@optimizers.register("adam")
def adam(
    groups: Iterable[Group],
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
    merged = _merged(groups, learning_rate, weight_decay)
    return torch.optim.Adam(merged, lr=learning_rate, eps=epsilon, fused=True)


@optimizers.register("sgd")
def sgd(
    groups: Iterable[Group],
    learning_rate: float,
    *,
    momentum: Share = 0.9,
    nesterov: bool = True,
    weight_decay: Decay = 5e-4,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent; momentum as in Sutskever et al., 2013."""
    return torch.optim.SGD(
        _merged(groups, learning_rate, weight_decay),
        lr=learning_rate,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
    )


@optimizers.register("muon")
def muon(
    groups: Iterable[Group],
    learning_rate: float,
    *,
    momentum: Share = 0.95,
    nesterov: bool = True,
    weight_decay: Decay = 0.01,
) -> torch.optim.Optimizer:
    """
    Momentum made orthogonal by Newton-Schulz iterations, AdamW for what is no hidden matrix.

    Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/: hidden matrices, and kernels
    of convolutions as matrices of output channel x the rest, take orthogonal steps; the first
    layer, the last one, depthwise kernels, biases and scales are left to AdamW. Steps are scaled
    to the size of AdamW's (Liu et al., 2025, https://arxiv.org/abs/2502.16982), so both parts
    take one learning rate, and one that suits AdamW.

    Args:
        momentum: Of the orthogonal steps; AdamW keeps its usual averages.
        weight_decay: Decoupled, for both parts.
    """
    # PyTorch's own Muon takes matrices alone. timm costs seconds to import.
    timm = importlib.import_module("timm.optim")
    found: torch.optim.Optimizer = timm.Muon(
        _merged(groups, learning_rate, weight_decay, orthogonal=True),
        lr=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        ns_coefficients="original",
        adjust_lr_fn="match_rms_adamw",
    )
    return found


# With Nesterov's momentum timm would take NAdam for what is left over.
_ADAMW = {"use_muon": False, "nesterov": False, "betas": (0.9, 0.999), "eps": 1e-8}
_MUON = {"use_muon": True}


def _merged(
    groups: Iterable[Group], learning_rate: float, weight_decay: float, *, orthogonal: bool = False
) -> list[dict[str, Any]]:
    """As few param groups as differ: an optimiser goes through each with one set of kernels."""
    kinds: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for group in groups:
        for parameter in group.parameters:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            by_muon = orthogonal and group.hidden and _is_matrix(parameter)
            kinds.setdefault((group.factor, decay, by_muon), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate * factor,
            "factor": factor,
            "weight_decay": decay,
            **((_MUON if by_muon else _ADAMW) if orthogonal else {}),
        }
        for (factor, decay, by_muon), parameters in kinds.items()
    ]


def _is_matrix(parameter: nn.Parameter) -> bool:
    """A depthwise kernel is a row for each channel of its own, nothing to be orthogonal to."""
    return parameter.ndim > 1 and min(parameter.shape[:2]) > 1
