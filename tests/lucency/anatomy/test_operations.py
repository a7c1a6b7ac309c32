"""Operations by name: functions and layers must mean the same."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lucency.anatomy import operations
from lucency.anatomy.graph import trace
from lucency.anatomy.layers import analyse


class Functional(nn.Module):
    """The layers below, as function calls."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        first, *_ = layers
        assert isinstance(first, nn.Conv2d)
        self.weight, self.bias = first.weight, first.bias

    def forward(self, images: Tensor) -> Tensor:
        found = F.conv2d(images, self.weight, self.bias, stride=2, padding=1, dilation=2, groups=2)
        found = F.max_pool2d(torch.relu(found), 3, stride=2, padding=1, ceil_mode=True)
        found = F.avg_pool2d(F.pad(found, (1, 2, 0, 1)), (2, 1))
        return F.adaptive_avg_pool2d(found, (1, 1)).flatten(1)


def layers() -> nn.Sequential:
    """The functions above, as layers."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=2, groups=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
        nn.ZeroPad2d((1, 2, 0, 1)),
        nn.AvgPool2d((2, 1)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def test_functions_are_read_like_layers() -> None:
    """Windows, costs and fields are the same in both spellings."""
    as_layers = layers()
    one = analyse(as_layers, (2, 33, 33))
    two = analyse(Functional(as_layers), (2, 33, 33))

    for layer, function in zip(one.layers, two.layers, strict=True):
        left, right = layer.record(), function.record()
        for key in ("name", "kind", "groups"):
            left.pop(key), right.pop(key)
        assert left == right
    assert [each.groups for each in (one.layers[0], two.layers[0])] == [2, 2]


def test_in_place_variants_are_the_same_operation() -> None:
    """``add_``, ``+=`` and ``add`` are one."""

    class InPlace(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            found = images * 2
            found += images
            return found.add_(images).relu_()

    steps = trace(InPlace(), (1, 4, 4)).steps

    assert [operations.operation(step) for step in steps] == ["mul", "add", "add", "relu"]


def test_reordering_and_reshaping_keep_places_apart() -> None:
    """Height and width are followed through transpositions and channel shuffles."""

    class Shuffled(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            n, c, h, w = images.shape
            found = images.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
            found = F.max_pool2d(found, 2).permute(0, 2, 3, 1).mean(-1)
            return found.unsqueeze(1).flatten(1)

    anatomy = analyse(Shuffled(), (4, 8, 6))

    seen = [(layer.kind, layer.map_size) for layer in anatomy.layers if layer.jump]
    assert seen[:4] == [
        ("view", (8, 6)), ("transpose", (8, 6)), ("reshape", (8, 6)), ("max_pool2d", (4, 3)),
    ]  # fmt: skip
    assert seen[4:6] == [("permute", (4, 3)), ("mean", (4, 3))]
    assert anatomy.layers[-1].sees_all
