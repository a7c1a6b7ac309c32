"""Where published weights are looked for, and which files are taken for which network."""

from pathlib import Path

import huggingface_hub
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from lucency.errors import WeightsError
from lucency.models import weights

NETWORK = "shufflenet_v2_x0_5"


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both libraries' caches are empty folders of the test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def network(channels: int = 4) -> nn.Sequential:
    """A convolution and a normalisation, whose four vectors have one length."""
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels))


def same(mine: nn.Module, theirs: nn.Module) -> bool:
    """Both hold the same numbers under the same names."""
    state = theirs.state_dict()
    return all(torch.equal(value, state[key]) for key, value in mine.state_dict().items())


def test_torch_hubs_folder_is_a_cache(caches: Path) -> None:
    """A file that torch hub was once told to download is found by the name it has there."""
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(NETWORK, weights=None)
    url = torchvision.models.get_model_weights(NETWORK).DEFAULT.url
    path = caches / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), path)
    ours = torchvision.models.get_model(NETWORK, weights=None)

    weights.fill(ours, "torchvision", NETWORK, "cache", keep=("fc.",))

    assert same(ours.conv1, theirs.conv1)
    assert not same(ours.fc, theirs.fc)


def test_hugging_faces_folder_is_a_cache(caches: Path) -> None:
    """A snapshot of timm's repository is read where the hub's client keeps it."""
    folder = caches / "hub" / "models--timm--resnet10t.c3_in1k"
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    theirs = network()
    save_file(theirs.state_dict(), snapshot / "model.safetensors")
    ours = network()

    weights.fill(ours, "timm", "resnet10t", "cache")

    assert same(ours, theirs)


@pytest.mark.parametrize(("library", "name"), [("timm", "resnet18"), ("torchvision", "resnet18")])
def test_empty_cache_gives_advice(library: weights.Library, name: str) -> None:
    """What is not there is not downloaded: the message names the places and the ways out."""
    with pytest.raises(WeightsError, match=r"looked for \[.*checkpoints/resnet18.*copy the file"):
        weights.fill(network(), library, name, "cache")


def test_renamed_layers_are_taken_by_their_order(tmp_path: Path) -> None:
    """A file that calls layers otherwise fits when kinds and shapes follow in the same order."""
    theirs = network()
    renamed = {f"stem.{key}".replace(".0.", ".a."): v for key, v in theirs.state_dict().items()}
    torch.save(renamed, tmp_path / "renamed.pth")
    ours = network()

    weights.fill(ours, "timm", "x", str(tmp_path / "renamed.pth"))

    assert same(ours, theirs)


def test_equal_shapes_of_other_kinds_are_refused(tmp_path: Path) -> None:
    """Scale, shift, mean and variance have one shape: a file with them in other places is wrong."""
    state = list(network().state_dict().items())
    state[2], state[3] = state[3], state[2]
    swapped = {f"stem.{key}": value for key, value in state}
    torch.save(swapped, tmp_path / "swapped.pth")

    with pytest.raises(WeightsError, match="is it another network's file"):
        weights.fill(network(), "timm", "x", str(tmp_path / "swapped.pth"))


def test_old_densenet_file_fits(tmp_path: Path) -> None:
    """torchvision publishes DenseNet with dots in names and without counts of batches."""
    torch.manual_seed(0)
    theirs = torchvision.models.densenet121(weights=None)
    nn.init.normal_(theirs.features.denseblock1.denselayer1.norm2.running_mean)
    old = {
        key.replace(".norm1.", ".norm.1.")
        .replace(".conv1.", ".conv.1.")
        .replace(".norm2.", ".norm.2.")
        .replace(".conv2.", ".conv.2."): value
        for key, value in theirs.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    torch.save(old, tmp_path / "old.pth")
    ours = torchvision.models.densenet121(weights=None)

    weights.fill(ours, "torchvision", "densenet121", str(tmp_path / "old.pth"))

    assert same(ours, theirs)


def test_nothing_is_recorded_of_a_network_never_trained() -> None:
    """timm lists networks without weights; they have no normalisation either."""
    assert weights.normalisation("timm", "resnet10t") is not None
    assert weights.normalisation("timm", "vgg_like_that_is_not_there") is None
