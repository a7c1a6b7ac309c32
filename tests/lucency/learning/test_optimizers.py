"""Optimisers by name, and the learning rate over a run."""

import pytest
import torch

from lucency.learning.optimizers import adamw, optimizers, warm_up_cosine


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


@pytest.mark.parametrize(("steps", "warm_up_steps"), [(10, 0), (10, 3), (1, 0), (7, 6)])
def test_schedule_ends_at_zero(steps: int, warm_up_steps: int) -> None:
    """After the last step of a run the rate is zero, and stays there."""
    assert warm_up_cosine(steps, steps, warm_up_steps) == pytest.approx(0.0)
    assert warm_up_cosine(steps + 5, steps, warm_up_steps) == pytest.approx(0.0)


def test_schedule_rises_and_then_falls() -> None:
    """The rate grows by equal steps to its full value and then only shrinks."""
    rates = [warm_up_cosine(step, 20, 4) for step in range(20)]

    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[12] == pytest.approx(0.5)


def test_no_step_of_a_run_is_wasted() -> None:
    """Every step that is taken has a rate above zero, the first and the last as well."""
    assert all(warm_up_cosine(step, 9, 2) > 0 for step in range(9))
