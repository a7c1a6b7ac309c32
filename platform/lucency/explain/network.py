"""A trained network made ready to be explained: a copy of it, and the layer of Grad-CAM."""

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lucency.errors import ConfigError
from lucency.models.base import Classifier

# Fewer places than this tell nothing apart: LeNet-5 ends in a map of one.
_SMALLEST_MAP = 2


@dataclass(frozen=True)
class Network:
    """
    A classifier in evaluation mode without layers that work in place.

    Attributes:
        layer_name: Path of the layer that gives the last feature map, for Grad-CAM.
        map_size: Height and width of that map.
        black_c: What a black pixel is for the network, by channel.
        outputs: Logits; one for two classes, that of the second.
    """

    model: Classifier
    layer_name: str
    map_size: tuple[int, int]
    black_c: Tensor
    outputs: int

    @property
    def layer(self) -> nn.Module:
        """The layer that gives the last feature map."""
        return self.model.get_submodule(self.layer_name)

    @torch.no_grad()
    def probabilities(self, images_nchw: Tensor) -> Tensor:
        """Of every class, n x k, as the logits have them, without a temperature."""
        logits_nk = self.model(images_nchw)
        if self.outputs > 1:
            return torch.softmax(logits_nk, dim=1)
        positive_n = torch.sigmoid(logits_nk[:, 0])
        return torch.stack([1 - positive_n, positive_n], dim=1)

    def logits_of(self, classes_n: Tensor) -> Tensor:
        """Which logit speaks for each class; the only one of two classes for the positive one."""
        return torch.zeros_like(classes_n) if self.outputs == 1 else classes_n

    def copy(self) -> "Network":
        """The same with weights of its own."""
        return replace(self, model=copy.deepcopy(self.model))


def prepare(model: Classifier, shape: tuple[int, int, int], black_c: Tensor) -> Network:
    """
    Copy a network and find its last feature map.

    Args:
        shape: Of one input, c x h x w.

    Raises:
        ConfigError: no layer gives a feature map of 2 x 2 or more.
    """
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        # Captum reads a layer's output after the next layer would have overwritten it.
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    name, size = last_map(model, shape)
    with torch.no_grad():
        outputs = int(model(torch.zeros(1, *shape)).shape[1])
    return Network(model, name, size, black_c, outputs)


@torch.no_grad()
def last_map(model: Classifier, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int]]:
    """
    The last layer of the trunk with a map of 2 x 2 or more: its path, and the map's size.

    The trunk itself, where what it ends in is such a map.

    Raises:
        ConfigError: there is none.
    """
    seen: list[tuple[str, tuple[int, int]]] = []

    def hooked(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def note(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                high, wide = output.shape[2:]
                if min(high, wide) >= _SMALLEST_MAP:
                    seen.append((name, (high, wide)))

        return module.register_forward_hook(note)

    handles = [hooked(f"features.{n}".strip("."), m) for n, m in model.features.named_modules()]
    try:
        model(torch.zeros(1, *shape))
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise ConfigError(
            f"no layer gives a feature map of {_SMALLEST_MAP} x {_SMALLEST_MAP} or more for "
            f"inputs of {' x '.join(map(str, shape))}: there are no places to tell apart"
        )
    return seen[-1]
