"""The cascade: what loses its weights when, and how likeness is measured."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from lucency.explain import randomise
from lucency.explain.network import Network, prepare
from lucency.models.base import PooledClassifier


@pytest.fixture
def ready(network: PooledClassifier) -> Network:
    """The shared small network as if it had learnt: no tensor is as it starts."""
    ready = prepare(network, (1, 32, 32), torch.zeros(1))
    with torch.no_grad():
        for tensor in ready.model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) + 0.1)
    return ready


def changed(before: Network, after: Network) -> set[str]:
    """Names of the tensors that differ."""
    old = before.model.state_dict()
    return {
        name
        for name, tensor in after.model.state_dict().items()
        if tensor.is_floating_point() and not torch.equal(tensor, old[name])
    }


def test_head_goes_first_and_all_in_the_end(ready: Network) -> None:
    """The first step changes the head alone; each next one more; the last leaves nothing."""
    steps = [changed(ready, each) for each in randomise.cascade(ready, seed_number=0)]

    assert {name.split(".")[0] for name in steps[0]} == {"head"}
    assert all(one < other for one, other in pairwise(steps))
    floats = {n for n, t in ready.model.state_dict().items() if t.is_floating_point()}
    assert steps[-1] == floats
    assert len(steps) == len(randomise.names(ready.model)) == randomise.STEPS


def test_cascade_is_repeatable_and_leaves_the_generator(ready: Network) -> None:
    """A seed gives the same weights, another others; the process' generator does not notice."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)

    one, two, other = (
        list(randomise.cascade(ready, seed_number=number))[-1] for number in (1, 1, 2)
    )

    assert torch.equal(torch.rand(1), expected)
    assert not changed(one, two)
    assert changed(one, other)


def test_names_go_from_the_head_to_the_first_layer(ready: Network) -> None:
    """Each step is named by the layer that it reaches down to."""
    names = randomise.names(ready.model)

    assert names[0] == "head.linear"
    assert names[-1] == "features.0"


def test_likeness_knows_no_sign() -> None:
    """A map is like itself and like its negative; unrelated maps are hardly alike."""
    rng = np.random.default_rng(0)
    maps, others = (rng.normal(size=(2, 40, 40)).astype(np.float32) for _ in range(2))

    assert randomise.alike(maps, maps) == pytest.approx([1, 1])
    assert randomise.alike(maps, -2 * maps) == pytest.approx([1, 1])
    assert (randomise.alike(maps, others) < 0.1).all()


def test_magnitudes_count_too() -> None:
    """Signs drawn anew hide a picture from plain ranks; its magnitudes still show it."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(1, 40, 40)).astype(np.float32)
    flipped = (maps * rng.choice((-1, 1), maps.shape)).astype(np.float32)

    assert randomise.alike(maps, flipped) == pytest.approx([1])


def test_flat_map_keeps_nothing() -> None:
    """A map of one value ranks nothing, so it is not like any other."""
    maps = np.random.default_rng(0).normal(size=(1, 8, 8)).astype(np.float32)

    assert randomise.alike(maps, np.zeros_like(maps)).tolist() == [0.0]
