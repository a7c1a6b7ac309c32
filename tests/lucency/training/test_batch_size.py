"""How many films at once: which size is taken, and what sizes cost for real."""

import itertools

import pytest
import torch

from lucency.config.train import Recipe
from lucency.errors import ClusterError, TrainingError
from lucency.models.base import architectures
from lucency.training import batch_size
from lucency.training.batch_size import Limits, Size

QUICK = Limits(most=4, seconds=0.01, memory_share=0.5, spare=0.1)


def test_gpu_takes_the_largest_that_leaves_room() -> None:
    """A size that fits but leaves less than what is to be spared is not taken."""
    sizes = [Size(1, 9.0, 100), Size(2, 8.0, 200), Size(4, 7.0, 400, fits=False)]

    assert batch_size.chosen(sizes, gpu=True).films == 2


def test_cpu_takes_the_smallest_of_the_fastest() -> None:
    """Two per cent are no difference, and memory for nothing is not taken."""
    sizes = [Size(1, 50.0, 1), Size(2, 99.0, 1), Size(4, 100.0, 1), Size(8, 97.0, 1)]

    assert batch_size.chosen(sizes, gpu=False).films == 2


@pytest.mark.parametrize("sizes", [[], [Size(1, 9.0, 100, fits=False)]])
def test_nothing_fits(sizes: list[Size]) -> None:
    """Where not even one film fits, the message says what could help."""
    with pytest.raises(TrainingError, match="smaller network"):
        batch_size.chosen(sizes, gpu=True)


def test_step_takes_as_many_films_as_asked_for(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe's own micro-batch does not split what is being measured."""
    scaling = recipe.scaling.model_copy(update={"micro_batch": 1})
    seen: list[int] = []
    build = architectures.build

    def watched(*args: object, **named: object) -> torch.nn.Module:
        network = build(*args, **named)  # type: ignore[arg-type]
        network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        return network

    monkeypatch.setattr(architectures, "build", watched)
    split = recipe.model_copy(update={"scaling": scaling})
    speed = batch_size._speed(split, 2, 6, 0.01, torch.device("cpu"))

    assert speed > 0
    assert set(seen) == {6}


def test_phase_that_learns_most_is_measured(recipe: Recipe) -> None:
    """Memory is what the phase takes whose gradients reach furthest."""
    phase = recipe.phases[0]
    phases = [phase.model_copy(update={"train": train}) for train in ("head", 2, "all", 1)]

    assert [each.train for each in sorted(phases, key=batch_size._depth)] == ["head", 1, 2, "all"]


def test_sizes_grow_until_memory_is_refused(recipe: Recipe) -> None:
    """The system refuses a step what it may not take, and sizes before that one are kept."""
    wide = recipe.model_copy(
        update={"preprocess": recipe.preprocess.model_copy(update={"size": 256})}
    )
    free = batch_size._free_bytes()
    limits = Limits(most=4096, seconds=0.001, memory_share=400 * 2**20 / free, spare=0.1)

    sizes = list(itertools.islice(batch_size._on_cpu(wide, 2, limits), 12))

    assert sizes
    assert sizes[0].films == 1
    assert all(0 < size.memory_mib < 450 for size in sizes)
    assert len(sizes) < 10


@pytest.mark.ray
def test_worker_of_the_recipe_measures(recipe: Recipe, ray_cluster: None) -> None:
    """Sizes come back from one Ray worker, the smallest first."""
    sizes = list(batch_size.measured(recipe, 2, QUICK))

    assert [size.films for size in sizes] == [1, 2, 4][: len(sizes)]
    assert all(size.images_per_s > 0 for size in sizes)


@pytest.mark.ray
def test_mistake_is_told_as_one(recipe: Recipe, ray_cluster: None) -> None:
    """An error of ours arrives as it was raised, and too many GPUs are refused at once."""
    deep = recipe.phases[0].model_copy(update={"train": 99})
    gpu = recipe.scaling.model_copy(update={"gpu": True})

    with pytest.raises(Exception, match="train 99 frees more blocks"):
        list(batch_size.measured(recipe.model_copy(update={"phases": (deep,)}), 2, QUICK))
    if not torch.cuda.is_available():
        with pytest.raises(ClusterError, match="1 GPU"):
            list(batch_size.measured(recipe.model_copy(update={"scaling": gpu}), 2, QUICK))
