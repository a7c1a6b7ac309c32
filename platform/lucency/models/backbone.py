"""Published networks from timm and torchvision as trunks, with weights from disk or a package."""

from bisect import bisect_left
from collections import OrderedDict
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from lucency.errors import ConfigError
from lucency.models import libraries
from lucency.models import weights as published
from lucency.models.base import Facts, PooledClassifier, PooledHead, Start, architecture, too_small
from lucency.models.weights import Library, Normalisation
from lucency.registry import Options

# A side that every convolutional classifier takes.
_AMPLE = 320

FACTS = Facts(
    summary="any convolutional network of timm or torchvision as a trunk",
    source="https://github.com/huggingface/pytorch-image-models, https://github.com/pytorch/vision",
    sides=(224,),
    channels=(3,),
    smallest_side=None,
    maps=True,
    start=Start(
        learning_rate=0.0003,
        epochs=10,
        batch_size=32,
        optimizer={"name": "adamw", "weight_decay": 0.01},
    ),
)


@architecture("backbone", FACTS)
class Backbone(PooledClassifier):
    """
    A convolutional trunk by its name in timm or torchvision.

    Where a library normalises after pooling (ConvNeXt) or convolves after it (timm's
    MobileNetV3), that layer belongs to its head and is left out with it.

    Args:
        timm: A name from ``timm.list_models()``; exactly one of timm and torchvision is given.
        torchvision: A name from ``torchvision.models.list_models()``.
        weights: ``none`` (start from scratch), ``package`` (an installed package carries them),
            ``cache`` (torch hub's or the Hugging Face hub's folder has them) or a file,
            ``.safetensors`` or a plain PyTorch state dict.
        dropout: Before the linear layer.

    Raises:
        ConfigError: no such network, it is not convolutional, or the images are too small.
        WeightsError: the weights are not there or belong to another network.
    """

    def __init__(
        self,
        in_channels: int,
        outputs: int,
        side: int,
        *,
        timm: str | None = None,
        torchvision: str | None = None,
        weights: str = "none",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3,
    ) -> None:
        library, name = _spelled(timm, torchvision)
        build = _from_timm if library == "timm" else _from_torchvision
        features = build(name, in_channels)
        channels = _probe(features, name, in_channels, side)
        if weights != "none":
            published.fill(features, library, name, weights)
        super().__init__(features, PooledHead(channels, outputs, dropout))


def normalisation(options: Options, in_channels: int = 3) -> Normalisation | None:
    """
    Mean and deviation that the weights which these options name were trained with.

    Returns:
        One number a channel each, on the 0..1 scale; None where training starts from scratch
        or nothing is recorded.
    """
    keywords = options.keywords()
    if keywords.get("weights", "none") == "none":
        return None
    # AlexNet and VGG are registered under the names that torchvision gives them.
    timm, torchvision = keywords.get("timm"), keywords.get("torchvision")
    library, name = _spelled(timm, torchvision if options.name == "backbone" else options.name)
    return published.normalisation(library, name, in_channels)


class _TimmTrunk(nn.Module):
    """A timm network without its pooling and classifier."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_nchw: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(images_nchw)  # type: ignore[operator]
        return features


def _spelled(timm: str | None, torchvision: str | None) -> tuple[Library, str]:
    if timm is not None and torchvision is None:
        return "timm", timm
    if torchvision is not None and timm is None:
        return "torchvision", torchvision
    raise ConfigError("model backbone: give exactly one of timm and torchvision")


def _from_timm(name: str, in_channels: int) -> nn.Module:
    timm = libraries.timm()
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('_')[0]}*")[:5]
        raise ConfigError(f"timm knows no network {name!r}; names alike: {near}")
    return _TimmTrunk(
        timm.create_model(
            name, pretrained=False, in_chans=in_channels, num_classes=0, global_pool=""
        )
    )


def _from_torchvision(name: str, in_channels: int) -> nn.Module:
    models = libraries.torchvision().models
    if name not in models.list_models(module=models):
        raise ConfigError(
            f"torchvision knows no classifier {name!r}; see torchvision.models.list_models()"
        )
    network = models.get_model(name, weights=None)
    published.adapt_first_convolution(network, in_channels)
    if isinstance(getattr(network, "features", None), nn.Module):
        # DenseNet applies its last activation outside of ``features``.
        after = [nn.ReLU()] if name.startswith("densenet") else []
        return nn.Sequential(network.features, *after)
    # Under their own names: a safetensors file is sorted, so its order says nothing.
    kept = [pair for pair in network.named_children() if pair[0] not in ("avgpool", "fc")]
    return nn.Sequential(OrderedDict(kept))


def _probe(trunk: nn.Module, name: str, in_channels: int, side: int) -> int:
    """Run the trunk once on an empty image, drop what it did not need, count its channels."""
    trunk.eval()
    used: set[nn.Module] = set()
    hooks = [
        module.register_forward_pre_hook(lambda module, _: used.add(module))
        for module in trunk.modules()
    ]
    try:
        shape = _run(trunk, in_channels, side)
    # Not every network is its parts one after the other: transformers, auxiliary heads.
    except (RuntimeError, AssertionError, ValueError) as cause:
        if side < _AMPLE and _takes(trunk, in_channels, _AMPLE):
            sides = range(1, _AMPLE)
            smallest = bisect_left(sides, True, key=lambda each: _takes(trunk, in_channels, each))
            raise too_small(name, side, sides[smallest]) from cause
        raise ConfigError(
            f"network {name!r} can't be cut into a convolutional trunk and a head: {cause}"
        ) from cause
    finally:
        for hook in hooks:
            hook.remove()
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ConfigError(
            f"network {name!r} gives features of shape {tuple(shape)}; a pooled head needs "
            "n x c x h x w, as convolutional networks give"
        )
    _drop_unused(trunk, used)
    trunk.train()
    return shape[1]


def _run(trunk: nn.Module, in_channels: int, side: int) -> torch.Size:
    with torch.no_grad():
        features: Tensor = trunk(torch.zeros(1, in_channels, side, side))
    return features.shape


def _takes(trunk: nn.Module, in_channels: int, side: int) -> bool:
    try:
        return 0 not in _run(trunk, in_channels, side)
    except (RuntimeError, AssertionError, ValueError):
        return False


def _drop_unused(trunk: nn.Module, used: set[nn.Module]) -> None:
    """Parts of a library's own head, whose parameters DDP would wait for in vain."""
    if isinstance(trunk, _TimmTrunk):
        for name, part in trunk.network.named_children():
            idle = used.isdisjoint(part.modules())
            if idle and next(part.parameters(), None) is not None:
                setattr(trunk.network, name, nn.Identity())
