"""The same network with other windows, really rebuilt and run, beside the one it was."""

import copy
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from lucency.anatomy.layers import Anatomy, Layer, analyse
from lucency.errors import ConfigError

Size = Annotated[int, Field(ge=1)]
Padding = Annotated[int, Field(ge=0)]


class Change(BaseModel):
    """New settings of one convolution or pool; what is left out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kernel_size: Size | tuple[Size, Size] | None = None
    stride: Size | tuple[Size, Size] | None = None
    padding: Padding | tuple[Padding, Padding] | None = None
    dilation: Size | tuple[Size, Size] | None = None

    def settings(self) -> dict[str, Any]:
        """What is given."""
        return {key: value for key, value in dict(self).items() if value is not None}


@dataclass(frozen=True)
class Comparison:
    """
    A network before and after a change.

    Attributes:
        changed: Names of the rebuilt layers.
    """

    before: Anatomy
    after: Anatomy
    changed: tuple[str, ...]

    def rows(self) -> list[tuple[str, Layer, Layer]]:
        """Layers with a window or weights that both have, in order."""
        after = {layer.name: layer for layer in self.after.layers}
        return [
            (layer.name, layer, after[layer.name])
            for layer in self.before.layers
            if layer.name in after and (layer.windows or layer.parameters)
        ]

    def record(self) -> dict[str, Any]:
        """Plain values for JSON: totals, and the layers that are not as they were."""
        differing = [
            {"name": name, "before": one, "after": two}
            for name, one, two in (
                (name, before.record(), after.record()) for name, before, after in self.rows()
            )
            if one != two
        ]
        totals = ("parameters", "multiply_adds", "activation_bytes", "receptive_field")
        before, after = self.before.record(), self.after.record()
        return {
            "changed": list(self.changed),
            "before": {key: before[key] for key in totals},
            "after": {key: after[key] for key in totals},
            "layers": differing,
        }


def compare(model: nn.Module, before: Anatomy, changes: Mapping[str, Change]) -> Comparison:
    """
    Rebuild some layers and take the new network apart.

    Raises:
        ConfigError: no such layer, a layer without a window, or a network that can't be run.
    """
    changed = rebuild(model, changes)
    try:
        after = analyse(changed, before.input)
    except ConfigError as cause:
        raise ConfigError(f"with the change, {cause}") from cause
    return Comparison(before, after, tuple(changes))


def rebuild(model: nn.Module, changes: Mapping[str, Change]) -> nn.Module:
    """
    A copy with the given convolutions and pools replaced; weights stay where their shape does.

    Raises:
        ConfigError: no such layer, or one without a window.
    """
    for name in changes:
        _refuse_unknown(model, name)
    copied = copy.deepcopy(model)
    for name, change in changes.items():
        parent, _, key = name.rpartition(".")
        setattr(copied.get_submodule(parent), key, _replacement(copied.get_submodule(name), change))
    return copied.eval()


def _refuse_unknown(model: nn.Module, name: str) -> None:
    modules = dict(model.named_modules())
    known = [
        path
        for path, module in modules.items()
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)
    ]
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
    found = f"is a {type(modules[name]).__name__}" if name in modules else "does not exist"
    raise ConfigError(
        f"change: layer {name!r} {found}; expected a convolution or a pool, nearest are {near}"
    )


def _replacement(layer: nn.Module, change: Change) -> nn.Module:
    given = change.settings()
    if isinstance(layer, nn.AvgPool2d) and "dilation" in given:
        raise ConfigError("change: an average pool has no dilation; leave it out")
    names = ("kernel_size", "stride", "padding", "dilation")
    settings = {name: getattr(layer, name) for name in names if hasattr(layer, name)} | given
    if isinstance(layer, nn.MaxPool2d):
        return nn.MaxPool2d(**settings, ceil_mode=layer.ceil_mode)
    if isinstance(layer, nn.AvgPool2d):
        return nn.AvgPool2d(
            **settings, ceil_mode=layer.ceil_mode, count_include_pad=layer.count_include_pad
        )
    assert isinstance(layer, nn.Conv2d)
    try:
        rebuilt = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            groups=layer.groups,
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
            **settings,
        )
    except ValueError as cause:
        raise ConfigError(f"change: {cause}") from cause
    if rebuilt.weight.shape == layer.weight.shape:
        rebuilt.load_state_dict(layer.state_dict())
    return rebuilt
