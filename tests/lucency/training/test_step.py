"""One optimiser step: rates, clipping, precision, what a seed decides."""

import copy
from typing import Any

import pytest
import torch

from lucency.config.train import Recipe
from lucency.models import blocks
from lucency.models.base import Classifier, architectures
from lucency.training.average import Average
from lucency.training.device import Device
from lucency.training.ranks import Ranks
from lucency.training.step import Learner

CPU = torch.device("cpu")
RECIPE: dict[str, Any] = {
    "preprocess": {"size": 32, "color": "L", "mean": [0.5], "std": [0.25]},
    "model": {"name": "small", "width": 8, "blocks": 2, "dropout": 0.5},
    "loss": "bce",
    "optimizer": {"name": "sgd", "momentum": 0.0, "weight_decay": 0.0},
    "phases": [{"epochs": 1, "learning_rate": 0.1, "batch_norm": "frozen"}],
    "batch_size": 4,
}


def learner(average: bool = False, **changes: Any) -> tuple[Learner, Classifier]:
    """With the network that it teaches."""
    recipe = Recipe.from_mapping({**RECIPE, **changes}, "test")
    torch.manual_seed(0)
    model = architectures.build(recipe.model, in_channels=1, outputs=1, side=32)
    device = Device(recipe, CPU)
    device.holding(model)
    following = Average(model, 0.5) if average else None
    shares_k = torch.tensor([0.5, 0.5])
    made = Learner(recipe, recipe.phases[0], model, following, shares_k, device, Ranks())
    blocks.modes(model, recipe.phases[0].train, recipe.phases[0].batch_norm)
    return made, model


def take(learner: Learner, *, rate: float = 0.1, seed_number: int = 0, done: int = 0) -> float:
    """A step on four films of noise."""
    images = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 1, 0])
    return learner.step(
        learner.device.images(images.numpy()),
        labels,
        rate=rate,
        seed_number=seed_number,
        done=done,
    ).item()


def moved(model: Classifier, before: Classifier) -> dict[str, float]:
    """How far each weight went."""
    weights = dict(before.named_parameters())
    return {name: (value - weights[name]).norm().item() for name, value in model.named_parameters()}


def test_seed_decides_all_that_is_drawn() -> None:
    """The same number is the same step, dropout and blending too; another is another."""
    found: list[Any] = []
    for seed_number in (1, 1, 2):
        made, model = learner(mix={"mixup": 1.0})
        torch.rand(len(found))  # what was drawn before does not count
        found.append((take(made, seed_number=seed_number), str(model.state_dict())))

    assert found[0] == found[1] != found[2]


def test_gradient_is_clipped_to_its_length() -> None:
    """A step of plain gradient descent is at most rate times length long."""
    made, model = learner(clip_norm=0.01)
    free, without = learner()
    before = copy.deepcopy(model)

    take(made)
    take(free)

    assert sum(each**2 for each in moved(model, before).values()) ** 0.5 == pytest.approx(
        0.1 * 0.01, rel=1e-3
    )
    assert sum(each**2 for each in moved(without, before).values()) ** 0.5 > 0.002


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precisions_take_nearly_the_same_step(precision: str) -> None:
    """Half the bits change the loss in the third place and no more; weights stay float32."""
    exact, _ = learner()
    half, model = learner(precision=precision)

    assert take(half) == pytest.approx(take(exact), rel=0.02)
    assert {each.dtype for each in model.parameters()} == {torch.float32}


def test_clipping_comes_after_unscaling() -> None:
    """fp16's scaled gradients are clipped by their true length."""
    made, model = learner(precision="fp16", clip_norm=0.01)
    before = copy.deepcopy(model)

    take(made)

    length = sum(each**2 for each in moved(model, before).values()) ** 0.5
    assert length == pytest.approx(0.1 * 0.01, rel=0.01)


def test_blocks_learn_at_their_own_rates() -> None:
    """The rate that a step is given is the head's; blocks have their factors of it."""
    made, _ = learner(phases=[{"epochs": 1, "learning_rate": 1, "layer_decay": 0.5}])

    take(made, rate=0.25)

    rates = {group["factor"]: group["lr"] for group in made.optimizer.param_groups}
    assert rates[1.0] == 0.25
    assert len(rates) > 1
    assert all(rate == 0.25 * factor for factor, rate in rates.items())


def test_average_follows_every_step() -> None:
    """After a step the average lies between where the weights were and where they are."""
    made, model = learner(average=True)
    before = copy.deepcopy(model)

    take(made, done=100)

    assert made.average is not None
    halves, whole = moved(made.average.model, before), moved(model, before)
    assert halves == pytest.approx({name: value / 2 for name, value in whole.items()}, rel=1e-3)


def test_parts_are_as_equal_as_can_be() -> None:
    """A share that no part holds is cut into few sizes, because each is compiled anew."""
    sizes: list[int] = []
    made, model = learner(batch_size=7, scaling={"micro_batch": 3})
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))

    made.step(torch.zeros(7, 1, 32, 32), torch.ones(7).long(), rate=0.1, seed_number=0, done=0)

    assert sizes == [3, 2, 2]


def test_layout_is_a_switch() -> None:
    """Activations lie by pixel or by channel, as scaling says."""
    for wanted in (True, False):
        recipe = Recipe.from_mapping({**RECIPE, "scaling": {"channels_last": wanted}}, "test")
        images = Device(recipe, CPU).images(torch.zeros(2, 3, 8, 8).numpy())
        assert images.is_contiguous(memory_format=torch.channels_last) is wanted


def test_compiled_network_keeps_plain_names() -> None:
    """A compiled step leaves the names of the weights, and so the checkpoints, as they are."""
    _, plain = learner()
    _, model = learner(scaling={"compile": True})

    assert list(model.state_dict()) == list(plain.state_dict())


def test_deterministic_is_a_switch() -> None:
    """It is on where it is asked for, and off again for a run that does not ask."""
    for wanted in (True, False):
        recipe = Recipe.from_mapping({**RECIPE, "scaling": {"deterministic": wanted}}, "test")
        Device(recipe, CPU)
        assert torch.are_deterministic_algorithms_enabled() is wanted
