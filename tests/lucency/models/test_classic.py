"""LeNet, AlexNet and VGG: the published sizes, torchvision's answers, torchvision's files."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from lucency.errors import WeightsError
from lucency.models.base import Classifier, architectures, parameters


def build(name: str, channels: int, side: int, classes: int, **options: Any) -> Classifier:
    """A network by what YAML would say of it."""
    torch.manual_seed(0)
    model = architectures.options(name)(name=name, **options)
    return architectures.build(model, in_channels=channels, outputs=classes, side=side)


@pytest.mark.parametrize(
    ("name", "channels", "side", "classes", "expected"),
    [
        ("lenet5", 1, 28, 10, 61_706),
        ("lenet5", 1, 32, 10, 61_706),
        ("alexnet", 3, 224, 1000, 61_100_840),
        ("vgg11", 3, 224, 1000, 132_863_336),
        ("vgg13", 3, 224, 1000, 133_047_848),
        ("vgg16", 3, 224, 1000, 138_357_544),
        ("vgg19", 3, 224, 1000, 143_667_240),
    ],
)
def test_parameters_are_the_published_ones(
    name: str, channels: int, side: int, classes: int, expected: int
) -> None:
    """Not one weight more or less than the papers' networks as torchvision counts them."""
    with torch.device("meta"):
        network = build(name, channels, side, classes)

    assert parameters(network) == expected


def test_lenet_has_the_sizes_of_1998() -> None:
    """6, 16 and 120 maps of 5x5 filters, 84 units; the last maps are single points."""
    network = build("lenet5", 1, 28, 10)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    dense = [m for m in network.modules() if isinstance(m, nn.Linear)]

    features_nchw = network.features(torch.rand(1, 1, 28, 28))

    assert [(m.out_channels, m.kernel_size) for m in convolutions] == [
        (6, (5, 5)),
        (16, (5, 5)),
        (120, (5, 5)),
    ]
    assert features_nchw.shape == (1, 120, 1, 1)
    assert [m.out_features for m in dense] == [84, 10]


def test_lenet_pads_digits_of_28_pixels() -> None:
    """A digit of 28 px answers as the same digit with two empty pixels around it."""
    small, large = build("lenet5", 1, 28, 10), build("lenet5", 1, 32, 10)
    digit_nchw = torch.rand(1, 1, 28, 28)

    padded_nchw = nn.functional.pad(digit_nchw, (2, 2, 2, 2))

    torch.testing.assert_close(small(digit_nchw), large(padded_nchw))


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, (nn.Tanh, nn.AvgPool2d)),
        ({"activation": "relu", "pool": "max"}, (nn.ReLU, nn.MaxPool2d)),
    ],
)
def test_lenet_is_of_1998_or_of_today(options: Any, kinds: tuple[type, type]) -> None:
    """Tanh and averages unless ReLU and maxima are asked for."""
    layers = [type(layer) for layer in build("lenet5", 1, 28, 10, **options).modules()]

    assert layers.count(kinds[0]) == 4
    assert layers.count(kinds[1]) == 2
    assert not {nn.Tanh, nn.AvgPool2d, nn.ReLU, nn.MaxPool2d} - set(kinds) & set(layers)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_vgg_trunk_is_torchvisions(batch_norm: bool) -> None:
    """Layer by layer the same kinds, names and shapes as torchvision's network."""
    name = "vgg13"
    with torch.device("meta"):
        ours = build(name, 3, 224, 1000, batch_norm=batch_norm)
        theirs = torchvision.models.get_model(name + "_bn" * batch_norm, weights=None)

    mine = {key.removeprefix("head."): v.shape for key, v in ours.state_dict().items()}
    assert mine == {key: value.shape for key, value in theirs.state_dict().items()}


def test_alexnet_file_of_torchvision_answers_as_there(tmp_path: Path) -> None:
    """All layers but the last come from the file; with its last layer too, logits are equal."""
    torch.manual_seed(1)
    theirs = torchvision.models.alexnet(weights=None, num_classes=4).eval()
    path = tmp_path / "alexnet.pth"
    torch.save(theirs.state_dict(), path)

    ours = build("alexnet", 3, 224, 2, weights=str(path)).eval()

    state = theirs.state_dict()
    hidden = ours.get_submodule("head.classifier.4").state_dict()
    assert torch.equal(hidden["weight"], state["classifier.4.weight"])
    last = ours.get_submodule("head.classifier.6")
    assert last.weight.shape == (2, 4096)
    ours.get_submodule("head.classifier").add_module("6", theirs.classifier[6])
    images_nchw = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(images_nchw), theirs(images_nchw))


def test_file_of_another_width_is_refused(tmp_path: Path) -> None:
    """Published dense layers have 4096 units: a narrower network is not filled in part."""
    path = tmp_path / "vgg11.pth"
    torch.save(build("vgg11", 3, 32, 2, hidden=16).state_dict(), path)

    with pytest.raises(WeightsError, match="don't fit 'vgg11'"):
        build("vgg11", 3, 32, 2, hidden=8, weights=str(path))


def test_vgg_starts_where_torchvision_starts_it() -> None:
    """Convolutions by He's fan out, dense layers with a deviation of 0.01, biases zero."""
    network = build("vgg11", 3, 32, 2, hidden=64)
    state = network.state_dict()

    assert float(state["features.3.weight"].std()) == pytest.approx(
        (2 / (9 * 128)) ** 0.5, rel=0.05
    )
    assert float(state["head.classifier.0.weight"].std()) == pytest.approx(0.01, rel=0.05)
    assert not state["features.3.bias"].any()
