"""What every registered architecture promises, at the input sizes of each data set."""

import re
from typing import Any

import numpy as np
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
    PooledClassifier,
    Start,
    architecture,
    architectures,
    describe,
    parameters,
)
from lucency.preprocess import Preprocess

CLASSES = 3
# Widths at which a test takes a second; what an option does not change is at full size.
NARROW: dict[str, dict[str, Any]] = {
    "alexnet": {"hidden": 64},
    "alexnet_small": {"width": 8, "hidden": 64},
    "backbone": {"timm": "resnet10t"},
    "resnet9": {"width": 8},
    "small": {"width": 4, "blocks": 2},
    "vgg11": {"hidden": 64},
    "vgg13": {"hidden": 64},
    "vgg16": {"hidden": 64},
    "vgg19": {"hidden": 64},
    "vgg_small": {"width": 8, "hidden": 8},
}
FORMATS = [(1, 28), (3, 32), (1, 224)]
NAMES = architectures.names()
ALL = [(name, channels, side) for name in NAMES for channels, side in FORMATS]
TAKEN = [case for case in ALL if case[2] >= (describe(case[0]).smallest_side or 1)]
REFUSED = [case for case in ALL if case not in TAKEN]
# At 224 px the VGGs differ in depth only and one stands for all; a dense layer behind a single
# pool has 99 million weights there.
HEAVY = ("vgg13", "vgg16", "vgg19", "mnist_torch_cnn")
LIGHT = [case for case in TAKEN if case[2] < 224 or case[0] not in HEAVY]


def build(name: str, channels: int, side: int, **options: Any) -> Classifier:
    """A network by what YAML would say of it."""
    torch.manual_seed(0)
    model = architectures.options(name)(name=name, **{**NARROW.get(name, {}), **options})
    return architectures.build(model, in_channels=channels, outputs=CLASSES, side=side)


def films(channels: int, side: int, n: int = 2) -> torch.Tensor:
    """Noise, normalised."""
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(1))


def spread(network: Classifier, images_nchw: torch.Tensor) -> None:
    """Scale the last layer so that logits differ: equal ones would hide any error of a graph."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.bias.zero_()
        last.weight.div_(network(images_nchw).std())


@pytest.mark.parametrize(("name", "channels", "side"), TAKEN)
def test_logits_have_one_column_a_class(name: str, channels: int, side: int) -> None:
    """Gray or colour, of any side that the pools leave something of: n x k finite numbers."""
    network = build(name, channels, side).eval()

    with torch.no_grad():
        logits_nk = network(films(channels, side))

    assert logits_nk.shape == (2, CLASSES)
    assert torch.isfinite(logits_nk).all()


@pytest.mark.parametrize(("name", "channels", "side"), REFUSED)
def test_too_small_a_side_is_refused(name: str, channels: int, side: int) -> None:
    """What the pools would reduce to nothing is refused with the smallest side that works."""
    smallest = describe(name).smallest_side

    with pytest.raises(ConfigError, match=rf"{name!r} takes images of {smallest} px.* is {side}:"):
        build(name, channels, side)


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


@pytest.mark.parametrize(("name", "channels", "side"), LIGHT)
def test_every_parameter_learns(name: str, channels: int, side: int) -> None:
    """Two steps reach every parameter, as workers that share gradients need, and move the loss."""
    network = build(name, channels, side).train()
    images_nchw, labels_n = films(channels, side), torch.tensor([0, 2])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    losses = []

    for _ in range(2):
        torch.manual_seed(0)  # the same dropout both times
        loss = F.cross_entropy(network(images_nchw), labels_n)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert all(parameter.grad is not None for parameter in network.parameters())
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1]


@pytest.mark.parametrize("name", NAMES)
def test_head_learns_alone(name: str) -> None:
    """With the trunk left as it is, a step changes the head and nothing else."""
    side = describe(name).smallest_side or 32
    network = build(name, 1, max(side, 16)).train()
    network.features.requires_grad_(False).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainable = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.1)

    F.cross_entropy(network(films(1, max(side, 16))), torch.tensor([0, 2])).backward()
    optimizer.step()

    changed = {key for key, value in network.state_dict().items() if (value != before[key]).any()}
    assert changed
    assert all(key.startswith("head.") for key in changed)


@pytest.mark.parametrize(("name", "channels", "side"), LIGHT)
def test_exported_graph_answers_as_the_network(
    name: str, channels: int, side: int, recipe: Recipe
) -> None:
    """ONNX Runtime gives the probabilities within 1e-4, for a batch of another size too."""
    network = build(name, channels, side).eval()
    images_nchw = films(channels, side, n=3)
    spread(network, images_nchw)
    color = "L" if channels == 1 else "RGB"
    numbers = (0.5,) * channels
    preprocess = Preprocess(size=side, color=color, mean=numbers, std=numbers)
    graph = export.to_onnx(network, recipe.model_copy(update={"preprocess": preprocess}))

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = session.run(None, {"images": images_nchw.numpy()})

    outputs = ["logits", "maps"] if describe(name).maps else ["logits"]
    with torch.no_grad():
        expected_nk = network(images_nchw)
    assert [value.name for value in session.get_outputs()] == outputs
    assert expected_nk.std() > 0.5
    assert_close_probabilities(torch.from_numpy(found[0]), expected_nk)


def assert_close_probabilities(found_nk: torch.Tensor, expected_nk: torch.Tensor) -> None:
    """Of several classes and of each class alone."""
    for probabilities in (lambda logits_nk: logits_nk.softmax(1), torch.sigmoid):
        torch.testing.assert_close(
            probabilities(found_nk), probabilities(expected_nk), atol=1e-4, rtol=0
        )


@pytest.mark.parametrize(("name", "channels", "side"), TAKEN)
def test_maps_are_there_exactly_where_promised(name: str, channels: int, side: int) -> None:
    """A pooled head gives maps whose means are the logits; other heads give none."""
    network = build(name, channels, side).eval()
    assert isinstance(network, PooledClassifier) is describe(name).maps
    if not isinstance(network, PooledClassifier):
        return
    images_nchw = films(channels, side)

    with torch.no_grad():
        logits_nk, maps_nkhw = network.explain(images_nchw)

        torch.testing.assert_close(logits_nk, network(images_nchw))
    torch.testing.assert_close(maps_nkhw.mean(dim=(2, 3)), logits_nk, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "channels", "side"), [case for case in LIGHT if case[2] < 224])
def test_state_dict_is_the_whole_network(name: str, channels: int, side: int) -> None:
    """A network that starts otherwise answers the same once it has the other's state."""
    trained = build(name, channels, side).train()
    images_nchw = films(channels, side, n=4)
    trained(images_nchw)  # batch statistics are state too
    other = build(name, channels, side)
    for parameter in other.parameters():
        nn.init.normal_(parameter)

    other.load_state_dict(trained.state_dict())

    with torch.no_grad():
        assert torch.equal(other.eval()(images_nchw), trained.eval()(images_nchw))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_full_size_is_exported(name: str, recipe: Recipe) -> None:
    """At 224 px and full width the graph holds all weights in one file and answers the same."""
    network = build(name, 1, 224, hidden=4096).eval()
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
    optimizer = optimizers.build(options, nn.Linear(1, 1).parameters(), facts.start.learning_rate)
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
