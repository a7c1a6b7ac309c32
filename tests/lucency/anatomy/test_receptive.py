"""Receptive fields: against the gradient's support, and against published values."""

from collections.abc import Callable, Sequence

import pytest
import torch
import torchvision
from torch import nn

from lucency.anatomy import what_if
from lucency.anatomy.graph import activations
from lucency.anatomy.layers import Anatomy, analyse
from lucency.anatomy.what_if import Change
from tests.lucency.anatomy import networks

SIDE = 40
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "sequential": networks.sequential,
    "residual": networks.Residual,
    "concatenated": networks.Concatenated,
    "channels_last": networks.ChannelsLast,
    "pooled": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.Conv2d(3, 3, 3)),
    "ceil": lambda: nn.Sequential(nn.AvgPool2d(3, 2, ceil_mode=True), nn.Conv2d(2, 3, 3)),
    "same": lambda: nn.Sequential(
        nn.ZeroPad2d((2, 1, 0, 3)), nn.Conv2d(2, 3, 3, padding="same", dilation=2)
    ),
}


def transparent(network: nn.Module) -> nn.Module:
    """Weights of one sign and no maxima, so that no path is cut off or cancels another."""
    for path, module in list(network.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            pool = nn.AvgPool2d(module.kernel_size, module.stride, module.padding)
            network.set_submodule(path, pool)
        if isinstance(module, nn.LayerNorm):
            network.set_submodule(path, nn.Identity())
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    return network.double().eval()


def support(anatomy: Anatomy, node: str, unit: tuple[int, int]) -> list[tuple[int, int]]:
    """First and last row and column with a gradient, of one unit."""
    image = torch.ones(1, *anatomy.input, dtype=torch.float64, requires_grad=True)
    layer = next(layer for layer in anatomy.layers if layer.node == node)
    assert layer.sight.axes is not None
    output = activations(anatomy.graph, image * 1.0, {node})[node]
    place = output.movedim(layer.sight.axes, (-2, -1))[..., unit[0], unit[1]]
    (gradient,) = torch.autograd.grad(place.sum(), image)
    found = gradient[0].abs().sum(0) > 0
    return [
        (int(lines.nonzero()[0]), int(lines.nonzero()[-1]))
        for lines in (found.any(1), found.any(0))
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_field_is_the_support_of_the_gradient(name: str) -> None:
    """At every layer a corner, a centre and a last unit see the pixels that move them."""
    anatomy = analyse(transparent(NETWORKS[name]()), (2, SIDE, SIDE))

    assert len(anatomy.maps) >= 2
    for layer in anatomy.maps:
        assert layer.map_size is not None
        assert layer.sight.spans is not None
        high, wide = layer.map_size
        for unit in ((0, 0), (high // 2, wide // 2), (high - 1, wide - 1)):
            expected = [
                span.pixels(place, SIDE)
                for span, place in zip(layer.sight.spans, unit, strict=True)
            ]
            if all(first <= last for first, last in expected):  # else padding alone
                assert support(anatomy, layer.node, unit) == expected, layer.name


def closed_form(path: Sequence[tuple[int, int]]) -> int:
    """Distill 2019, eq. 2: one and the sum of (k - 1) times the strides before, on one path."""
    field, jump = 1, 1
    for kernel, stride in path:
        field += (kernel - 1) * jump
        jump *= stride
    return field


DENSENET = [
    (7, 2), (3, 2), *[(3, 1)] * 6, (2, 2), *[(3, 1)] * 12, (2, 2), *[(3, 1)] * 24, (2, 2),
    *[(3, 1)] * 16,
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "published"), [("alexnet", 195), ("vgg16", 212), ("densenet121", 2071)]
)
def test_published_fields(name: str, published: int) -> None:
    """AlexNet, VGG16 at their last pool and DenseNet121 see what the Distill article prints."""
    network = torchvision.models.get_model(name, weights=None).features

    last = analyse(network, (3, 224, 224)).last_stage

    assert last is not None
    assert last.receptive_field == (published, published)
    assert last.jump == (32, 32)
    if name == "densenet121":
        assert closed_form(DENSENET) == published


def resnet50(strided: str) -> list[tuple[int, int]]:
    """The longest path; a stage's stride stands in its first 1x1 (2015) or 3x3 convolution."""
    path = [(7, 2), (3, 2)]
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            path += [(1, stride), (3, 1)] if strided == "1x1" else [(1, 1), (3, stride)]
    return path


def test_published_field_of_resnet50() -> None:
    """
    483 px is printed for ResNet-50 as published, with a stage's stride in its first 1x1. In
    torchvision it stands in the 3x3 after it: that network sees 427 px, and 483 px when changed.
    """
    network = torchvision.models.get_model("resnet50", weights=None)
    changes = {}
    for stage in (2, 3, 4):
        changes[f"layer{stage}.0.conv1"] = Change(stride=2)
        changes[f"layer{stage}.0.conv2"] = Change(stride=1)

    fields = [
        analyse(each, (3, 64, 64)).last_stage
        for each in (network, what_if.rebuild(network, changes))
    ]

    assert (closed_form(resnet50("3x3")), closed_form(resnet50("1x1"))) == (427, 483)
    assert [last.receptive_field for last in fields if last] == [(427, 427), (483, 483)]


def test_gate_is_left_out_and_said() -> None:
    """After squeeze-and-excitation the field is the published, local one, marked as seeing all."""
    anatomy = analyse(networks.Gated(), (2, SIDE, SIDE))
    layers = {layer.name: layer for layer in anatomy.layers}

    assert layers["conv"].receptive_field == (3, 3)
    assert not layers["conv"].sees_all
    assert layers["gate"].receptive_field == (SIDE, SIDE)
    assert layers["after"].receptive_field == (5, 5)
    assert layers["after"].sees_all
    assert anatomy.sees_all_from == "mean"


@pytest.mark.parametrize("last", [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.GroupNorm(1, 4)])
def test_layers_that_see_everything(last: nn.Module) -> None:
    """Global pooling, flattening and norms over the map depend on the whole input."""
    anatomy = analyse(nn.Sequential(nn.Conv2d(2, 4, 3), last), (2, SIDE, SIDE))

    assert [layer.sees_all for layer in anatomy.layers] == [False, True]


def test_attention_sees_everything() -> None:
    """Tokens that are merged from a map are not told apart any more."""
    network = torchvision.models.VisionTransformer(32, 8, 1, 2, 16, 32)

    anatomy = analyse(network, (3, 32, 32))

    assert anatomy.last_stage is not None
    assert anatomy.last_stage.receptive_field == (8, 8)
    assert anatomy.layers[-1].sees_all


def test_unknown_operation_is_taken_to_see_everything() -> None:
    """An operation that nobody listed is named, and bounds nothing."""
    anatomy = analyse(nn.Sequential(nn.Conv2d(2, 4, 3), nn.PixelShuffle(2)), (2, 16, 16))

    assert anatomy.unknown == ("PixelShuffle",)
    assert anatomy.layers[-1].sees_all
    assert anatomy.layers[-1].receptive_field == (16, 16)
