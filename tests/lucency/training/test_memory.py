"""What a run takes of a GPU and of the disk, told before it starts."""

import copy
import io
from typing import Any

import pytest
import torch

from lucency.config.train import Recipe
from lucency.errors import TrainingError
from lucency.models.base import PooledClassifier
from lucency.training import memory

MIB = 2**20


def changed(recipe: Recipe, **values: Any) -> Recipe:
    """The recipe with other values at its top level."""
    return Recipe.from_mapping(recipe.plain() | values, "test")


def gpu(memory_mib: float) -> list[dict[str, Any]]:
    """Nodes with a large GPU and one of that size."""
    sizes = (80 * 1024, int(memory_mib))
    return [{"gpus": [{"name": f"card {size}", "memory_mib": size}]} for size in sizes]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_checkpoint_is_not_larger_than_told(
    recipe: Recipe, network: PooledClassifier, optimizer: str, ema: float | None
) -> None:
    """Weights, average and two numbers a parameter cover what any optimiser here keeps."""
    asked = changed(recipe, optimizer=optimizer, ema_decay=ema)
    states = [torch.zeros(2, p.numel()) for p in network.parameters()]
    stored = io.BytesIO()
    copies = [network.state_dict()] * (1 if ema is None else 2)
    torch.save([[{k: v.clone() for k, v in c.items()} for c in copies], states], stored)

    told = memory.checkpoint_bytes(asked, network)

    # The container's own lines are some hundred bytes a tensor.
    assert told <= stored.tell() <= told + 1000 * 5 * len(network.state_dict())


def test_more_at_once_takes_more(recipe: Recipe, network: PooledClassifier) -> None:
    """Films at once cost each the same; 16 bits, smaller parts and more workers save."""
    whole = memory.estimate(changed(recipe, batch_size=16), network)
    double = memory.estimate(changed(recipe, batch_size=32), network)
    parts = memory.estimate(changed(recipe, scaling={"micro_batch": 4}), network)
    shared = memory.estimate(changed(recipe, scaling={"workers": 3}), network)
    half = memory.estimate(changed(recipe, precision="bf16"), network)

    assert double.total - whole.total == 16 * whole.per_film
    assert (whole.films, parts.films, shared.films) == (16, 4, 6)
    assert half.per_film < 0.6 * whole.per_film


def test_film_costs_what_the_way_back_needs(recipe: Recipe, network: PooledClassifier) -> None:
    """The estimate is no less than what autograd keeps of one film, and not ten times as much."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        copy.deepcopy(network).train()(torch.randn(8, 1, 32, 32)).sum()

    told = memory.estimate(recipe, network).per_film
    assert sum(kept.values()) / 8 <= told <= 10 * sum(kept.values()) / 8


def test_too_small_a_gpu_is_refused_with_what_would_fit(
    recipe: Recipe, network: PooledClassifier
) -> None:
    """The smallest GPU decides, and the advice does fit."""
    asked = memory.Estimate(fixed=1000 * MIB, per_film=100 * MIB, films=64)

    with pytest.raises(
        TrainingError, match=r"card 2048 has 2\.0 GiB: set scaling\.micro_batch=10 "
    ):
        memory.require(asked, gpu(2048))
    with pytest.raises(TrainingError, match="take a smaller network or smaller films"):
        memory.require(asked, gpu(900))

    memory.require(memory.Estimate(1000 * MIB, 100 * MIB, 10), gpu(2048))
    memory.require(asked, [{"gpus": []}])
