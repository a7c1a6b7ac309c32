"""Optimisers by name, and what they leave undecayed."""

import pytest
import torch

from lucency.learning.optimizers import adam, adamw, optimizers


def test_biases_and_norms_are_not_decayed() -> None:
    """Weight decay pulls on matrices and kernels alone, and no parameter is left out."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))

    decayed, free = adamw(network.parameters(), 0.1, weight_decay=0.3).param_groups

    assert decayed["weight_decay"] == 0.3
    assert free["weight_decay"] == 0.0
    assert [parameter.ndim for parameter in decayed["params"]] == [4]
    assert [parameter.ndim for parameter in free["params"]] == [1, 1, 1]


def test_parameters_may_come_from_a_generator() -> None:
    """``network.parameters()`` can be walked once only, and both groups are still filled."""
    network = torch.nn.Linear(3, 2)

    groups = adamw(network.parameters(), 0.1).param_groups

    assert sum(len(group["params"]) for group in groups) == 2


@pytest.mark.parametrize("name", optimizers.names())
def test_every_optimizer_learns(name: str) -> None:
    """An optimiser by its name takes steps that lower a loss."""
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = optimizers.build(optimizers.options(name)(name=name), [weight], 0.1)

    for _ in range(5):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()

    assert (weight**2).sum() < 4


def test_keras_epsilon_is_handed_on() -> None:
    """Twins of Keras networks ask for Keras' epsilon."""
    optimizer = adam([torch.nn.Parameter(torch.ones(2, 2))], 0.001, epsilon=1e-7)

    assert optimizer.defaults["eps"] == 1e-7
