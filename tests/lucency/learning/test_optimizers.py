"""Optimisers by name: what they leave undecayed, at what rate each part goes, what they keep."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from lucency.learning.optimizers import adam, adamw, muon, optimizers
from lucency.models.blocks import Group


def group(module: nn.Module, factor: float = 1.0, *, hidden: bool = True) -> Group:
    """All parameters of a module."""
    return Group(list(module.parameters()), factor, hidden)


def test_biases_and_norms_are_not_decayed() -> None:
    """Weight decay pulls on matrices and kernels alone, and no parameter is left out."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))

    decayed, free = adamw([group(network)], 0.1, weight_decay=0.3).param_groups

    assert decayed["weight_decay"] == 0.3
    assert free["weight_decay"] == 0.0
    assert [parameter.ndim for parameter in decayed["params"]] == [4]
    assert [parameter.ndim for parameter in free["params"]] == [1, 1, 1]


@pytest.mark.parametrize("name", optimizers.names())
def test_every_group_learns_at_its_rate(name: str) -> None:
    """A part's factor scales its rate, stays with it, and parts of one factor go together."""
    parts = [group(nn.Linear(3, 3), 0.5), group(nn.Linear(3, 3), 0.5), group(nn.Linear(3, 2))]

    found = optimizers.build(optimizers.options(name)(name=name), parts, 0.2).param_groups

    assert {each["factor"]: each["lr"] for each in found} == {0.5: 0.1, 1.0: 0.2}
    assert sum(len(each["params"]) for each in found) == 6
    assert len(found) <= 4


@pytest.mark.parametrize("name", optimizers.names())
def test_every_optimizer_learns(name: str) -> None:
    """An optimiser by its name takes steps that lower a loss."""
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = optimizers.build(optimizers.options(name)(name=name), [Group([weight])], 0.1)

    for _ in range(5):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()

    assert (weight**2).sum() < 4


@pytest.mark.parametrize("name", optimizers.names())
def test_state_is_all_there_is(name: str) -> None:
    """An optimiser that takes over another's state goes on bit for bit as that one does."""
    network, groups = _network()
    options = optimizers.options(name)(name=name)
    optimizer = optimizers.build(options, groups, 0.05)
    _steps(network, optimizer, 3)
    twin, twin_groups = _network()
    twin.load_state_dict(network.state_dict())
    resumed = optimizers.build(options, twin_groups, 0.05)

    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    _steps(network, optimizer, 3)
    _steps(twin, resumed, 3)
    for mine, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_keras_epsilon_is_handed_on() -> None:
    """Twins of Keras networks ask for Keras' epsilon."""
    optimizer = adam([group(nn.Linear(2, 2))], 0.001, epsilon=1e-7)

    assert optimizer.defaults["eps"] == 1e-7


def test_muon_takes_hidden_matrices_alone() -> None:
    """Kernels between first and last layer; the outer layers, depthwise kernels, scales do not."""
    first, depthwise, hidden = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 3)
    norm, dense, last = nn.BatchNorm2d(8), nn.Linear(8, 4), nn.Linear(4, 1)
    between = nn.Sequential(depthwise, hidden, norm, dense)
    parts = [group(first, hidden=False), group(between), group(last, hidden=False)]

    found = muon(parts, 0.1).param_groups

    orthogonal = [each for part in found if part["use_muon"] for each in part["params"]]
    others = [each for part in found if not part["use_muon"] for each in part["params"]]
    assert {id(each) for each in orthogonal} == {id(hidden.weight), id(dense.weight)}
    assert len(others) == 10


def test_muon_steps_are_orthogonal() -> None:
    """A kernel's step, as a matrix of output channels x the rest, is about alike in all directions,
    however much the gradient prefers some."""
    convolution = nn.Conv2d(6, 12, 3, bias=False)
    before = convolution.weight.detach().clone()
    optimizer = muon([group(convolution)], 0.1, weight_decay=0.0)
    convolution.weight.grad = (
        torch.randn(before.shape, generator=torch.Generator().manual_seed(0))
        * torch.logspace(0, 1, 12)[:, None, None, None]
    )

    optimizer.step()

    step = (before - convolution.weight.detach()).flatten(1) / (0.1 * 0.2 * 54**0.5)
    scales = torch.linalg.svdvals(step)
    assert float(scales.min()) > 0.6
    assert float(scales.max()) < 1.3


def test_muon_leaves_the_rest_to_adamw() -> None:
    """What is no hidden matrix takes PyTorch's AdamW steps, at the same rate and decay."""
    torch.manual_seed(0)
    one, other = nn.Linear(5, 3), nn.Linear(5, 3)
    other.load_state_dict(one.state_dict())
    optimizers_of_both = (
        muon([group(one, hidden=False)], 0.01, weight_decay=0.1),
        adamw([group(other, hidden=False)], 0.01, weight_decay=0.1),
    )

    for network, optimizer in zip((one, other), optimizers_of_both, strict=True):
        _steps(network, optimizer, 4, inputs=5)

    torch.testing.assert_close(one.state_dict(), other.state_dict())


def _network() -> tuple[nn.Module, list[Group]]:
    torch.manual_seed(1)
    first, hidden, last = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 2)
    parts = [group(first, 0.25, hidden=False), group(hidden, 0.5), group(last, hidden=False)]
    return nn.Sequential(first, nn.ReLU(), hidden, nn.BatchNorm1d(4), last), parts


def _steps(
    network: nn.Module, optimizer: torch.optim.Optimizer, steps: int, inputs: int = 6
) -> None:
    generator = torch.Generator().manual_seed(2)
    for _ in range(steps):
        loss: Any = network(torch.randn(8, inputs, generator=generator)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
