"""What every registered architecture promises; tests/configs/test_pairs.py has every data set."""

import re
from typing import Any

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lucency.bundle import export
from lucency.config.train import Recipe
from lucency.errors import ConfigError
from lucency.learning.optimizers import optimizers
from lucency.models.base import (
    Classifier,
    Facts,
    Start,
    architecture,
    architectures,
    describe,
    parameters,
)
from lucency.models.blocks import Group
from lucency.preprocess import Preprocess
from tests.lucency.models.narrow import NARROW, assert_close_probabilities, spread

CLASSES = 3
NAMES = architectures.names()


def cheap_side(name: str) -> int:
    """A side at which a network costs little."""
    return max(16, describe(name).smallest_side or 32)


def build(name: str, channels: int, side: int, **options: Any) -> Classifier:
    """A network by what YAML would say of it."""
    torch.manual_seed(0)
    model = architectures.options(name)(name=name, **{**NARROW.get(name, {}), **options})
    return architectures.build(model, in_channels=channels, outputs=CLASSES, side=side)


def films(channels: int, side: int, n: int = 2) -> torch.Tensor:
    """Noise, normalised."""
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", [name for name in NAMES if describe(name).smallest_side])
def test_smallest_side_is_the_smallest(name: str) -> None:
    """The side that the facts name works with default options, one pixel less does not."""
    smallest = describe(name).smallest_side
    assert smallest is not None
    with torch.device("meta"):
        network = build(name, 1, smallest)

        logits_nk = network.eval()(torch.empty(1, 1, smallest, smallest))

    assert logits_nk.shape == (1, CLASSES)
    if smallest > 1:
        with pytest.raises(ConfigError, match=f"takes images of {smallest} px"):
            build(name, 1, smallest - 1)


@pytest.mark.parametrize("name", NAMES)
def test_head_learns_alone(name: str) -> None:
    """With the trunk left as it is, a step changes the head and nothing else."""
    side = cheap_side(name)
    network = build(name, 1, side).train()
    network.features.requires_grad_(False).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.1)

    F.cross_entropy(network(films(1, side)), torch.tensor([0, 2])).backward()
    optimizer.step()

    changed = {key for key, value in network.state_dict().items() if (value != before[key]).any()}
    assert changed
    assert all(key.startswith("head.") for key in changed)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_is_the_whole_network(name: str) -> None:
    """A network that starts otherwise answers the same once it has the other's state."""
    side = cheap_side(name)
    trained = build(name, 3, side).train()
    images_nchw = films(3, side, n=4)
    trained(images_nchw)  # batch statistics are state too
    other = build(name, 3, side)
    for parameter in other.parameters():
        nn.init.normal_(parameter)

    other.load_state_dict(trained.state_dict())

    with torch.no_grad():
        assert torch.equal(other.eval()(images_nchw), trained.eval()(images_nchw))


@pytest.mark.slow
def test_full_size_is_exported(recipe: Recipe) -> None:
    """VGG16 as published: the graph holds all 134 million weights in one file, and answers so."""
    network = build("vgg16", 1, 224, hidden=4096).eval()
    images_nchw = films(1, 224)
    spread(network, images_nchw)
    preprocess = Preprocess(size=224, color="L")

    graph = export.to_onnx(network, recipe.model_copy(update={"preprocess": preprocess}))

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (logits_nk,) = session.run(None, {"images": images_nchw.numpy()})
    assert len(graph) > 4 * parameters(network)
    with torch.no_grad():
        assert_close_probabilities(torch.from_numpy(logits_nk), network(images_nchw))


@pytest.mark.parametrize("name", NAMES)
def test_facts_can_be_used(name: str) -> None:
    """Sides are taken, channels are one or three, the suggested optimiser takes its options."""
    facts = describe(name)

    assert facts.summary
    assert facts.source
    assert all(side >= (facts.smallest_side or 1) for side in facts.sides)
    assert set(facts.channels) <= {1, 3}
    assert 0 < facts.start.learning_rate < 0.1
    options = optimizers.options(facts.start.optimizer["name"])(**facts.start.optimizer)
    groups = [Group(list(nn.Linear(1, 1).parameters()))]
    optimizer = optimizers.build(options, groups, facts.start.learning_rate)
    assert optimizer.param_groups[0]["lr"] == facts.start.learning_rate


def test_facts_of_nothing_are_refused() -> None:
    """A name that is not registered has no facts, and the ones that have are listed."""
    with pytest.raises(ConfigError, match=re.escape("'vgg17' is not known; expected one of")):
        describe("vgg17")


def test_name_is_taken_once() -> None:
    """Registering an architecture under a name that is there already is our own mistake."""
    facts = Facts("", "", (8,), (1,), 8, maps=False, start=Start(0.1, 1, 1))

    with pytest.raises(AssertionError, match="'lenet5' is registered twice"):
        architecture("lenet5", facts)(Classifier)

    assert describe("lenet5") is not facts
