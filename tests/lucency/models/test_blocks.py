"""A network as blocks: where they are cut, what is free, in what mode, at what rate."""

from typing import Any

import pytest
import torch
from torch import nn

from lucency.errors import ConfigError
from lucency.models import blocks
from lucency.models.base import Classifier, PooledHead, architectures
from tests.lucency.models.narrow import NARROW
from tests.lucency.models.test_family import cheap_side, films

PUBLISHED: list[dict[str, Any]] = [
    {"timm": "densenet121"},
    {"timm": "resnet18"},
    {"timm": "tf_efficientnet_lite0"},
    {"timm": "mobilenetv3_small_100"},
    {"timm": "convnext_atto"},
    {"torchvision": "densenet121"},
    {"torchvision": "resnet18"},
    {"torchvision": "mobilenet_v3_small"},
    {"torchvision": "efficientnet_b0"},
    {"torchvision": "regnet_y_400mf"},
    {"torchvision": "vgg11"},
]
CASES = [(name, NARROW.get(name, {})) for name in architectures.names() if name != "backbone"]
CASES += [("backbone", options) for options in PUBLISHED]
EVERY = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[" ".join([n, *map(str, o.values())]) for n, o in CASES]
)


def build(name: str, options: dict[str, Any]) -> Classifier:
    """One network, three classes, one channel."""
    model = architectures.options(name)(name=name, **options)
    return architectures.build(model, in_channels=1, outputs=3, side=cheap_side(name))


def chain() -> Classifier:
    """Three blocks, each with normalisation and dropout, and a head."""
    layers: list[nn.Module] = []
    for before, after in ((1, 2), (2, 4), (4, 4)):
        layers += [nn.Conv2d(before, after, 3), nn.BatchNorm2d(after), nn.Dropout(0.5)]
    return Classifier(nn.Sequential(*layers), PooledHead(4, 2, 0.5))


@EVERY
def test_every_parameter_is_in_one_block(name: str, options: dict[str, Any]) -> None:
    """No parameter of the trunk is left out or taken twice, and no block is empty."""
    network = build(name, options)

    found = blocks.blocks(network)

    mine = [id(parameter) for block in found for parameter in block.parameters]
    assert sorted(mine) == sorted(id(each) for each in network.features.parameters())
    assert all(any(each.ndim > 1 for each in block.parameters) for block in found)
    modules = [id(module) for block in found for module in block.modules]
    assert sorted(modules) == sorted(id(module) for module in network.features.modules())


@EVERY
def test_blocks_are_in_order(name: str, options: dict[str, Any]) -> None:
    """An image reaches the blocks in their order, and none again after the next."""
    network = build(name, options).eval()
    found = blocks.blocks(network)
    reached: list[int] = []
    for index, block in enumerate(found):
        for module in block.modules:
            if next(module.parameters(recurse=False), None) is not None:
                module.register_forward_pre_hook(lambda _, __, index=index: reached.append(index))

    with torch.no_grad():
        network(films(1, cheap_side(name), n=1))

    assert reached == sorted(reached)
    assert set(reached) == set(range(len(found)))
    assert len(found) > 1


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"timm": "resnet18"}, 5),  # the stem and four stages
        ({"timm": "densenet121"}, 5),  # transitions go with the dense block before
        ({"timm": "tf_efficientnet_lite0"}, 8),
        ({"torchvision": "resnet18"}, 5),
        ({"torchvision": "densenet121"}, 8),  # the stem, four dense blocks, three transitions
        ({"torchvision": "vgg11"}, 8),
    ],
)
def test_published_networks_are_cut_by_stages(options: dict[str, Any], count: int) -> None:
    """As many blocks as their papers have stages, or convolutions where there are no stages."""
    assert len(blocks.blocks(build("backbone", options))) == count


@pytest.mark.parametrize(("train", "trained"), [("head", 0), (1, 1), (2, 2), (3, 3), ("all", 3)])
def test_blocks_next_to_the_head_are_freed(train: blocks.Train, trained: int) -> None:
    """So many blocks learn, the last ones, and the head always does."""
    network = chain()

    blocks.free(network, 1)
    blocks.free(network, train)

    found = [
        all(parameter.requires_grad for parameter in block.parameters)
        for block in blocks.blocks(network)
    ]
    assert found == [False] * (3 - trained) + [True] * trained
    assert all(parameter.requires_grad for parameter in network.head.parameters())
    blocks.modes(network, train, "follow")
    assert [_dropout(network, index).training for index in range(3)] == found
    assert network.head.dropout.training  # type: ignore[union-attr]


@pytest.mark.parametrize("act", [blocks.free, lambda net, n: blocks.modes(net, n, "follow")])
def test_more_blocks_than_there_are(act: Any) -> None:
    """The message says how many there are."""
    with pytest.raises(ConfigError, match=r"train 4 frees more blocks than .* has, 3"):
        act(chain(), 4)


@pytest.mark.parametrize(
    ("policy", "train", "moving"),
    [
        ("follow", 1, [False, False, True]),
        ("follow", "all", [True, True, True]),
        ("frozen", "all", [False, False, False]),
        ("train", "head", [True, True, True]),
    ],
)
def test_running_statistics_by_policy(
    policy: blocks.BatchNorm, train: blocks.Train, moving: list[bool]
) -> None:
    """Those of trained blocks, nobody's or everybody's move in a forward pass."""
    network = chain()
    norms = [layer for layer in network.features.modules() if isinstance(layer, nn.BatchNorm2d)]
    before = [norm.state_dict()["running_mean"].clone() for norm in norms]

    blocks.modes(network, train, policy)
    network(films(1, 16, n=4))

    changed = [
        not torch.equal(norm.state_dict()["running_mean"], mean)
        for norm, mean in zip(norms, before, strict=True)
    ]
    assert changed == moving


def test_rates_fall_towards_the_input() -> None:
    """Each block learns slower than the next one by the same factor; the head at the full rate."""
    network = chain()

    found = blocks.groups(network, 0.5)

    factor = {id(each): group.factor for group in found for each in group.parameters}
    by_block = [{factor[id(each)] for each in b.parameters} for b in blocks.blocks(network)]
    assert by_block == [{0.125}, {0.25}, {0.5}]
    assert {factor[id(each)] for each in network.head.parameters()} == {1.0}
    assert len(factor) == len(list(network.parameters()))


def test_groups_hold_what_is_free() -> None:
    """Parameters that don't learn are in no group, and rates count from the head all the same."""
    network = chain()
    blocks.free(network, 1)

    found = blocks.groups(network, 0.5)

    mine = {id(each) for group in found for each in group.parameters}
    assert mine == {id(each) for each in network.parameters() if each.requires_grad}
    assert sorted({group.factor for group in found}) == [0.5, 1.0]


@EVERY
def test_outer_layers_are_told_apart(name: str, options: dict[str, Any]) -> None:
    """The kernel that sees the image and the matrix that gives the logits are not hidden."""
    network = build(name, options)

    outer = [g.parameters for g in blocks.groups(network, 1.0) if not g.hidden]

    weights = [each for part in outer for each in part]
    assert len(weights) == 2
    assert weights[0].shape[1] == 1
    assert weights[1].shape[0] == 3


def _dropout(network: Classifier, index: int) -> nn.Module:
    return [layer for layer in network.features.modules() if isinstance(layer, nn.Dropout)][index]
