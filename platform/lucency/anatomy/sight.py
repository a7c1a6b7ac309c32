"""
What a unit really listens to: the gradient of the centre unit of each stage on one film.

Luo, Li, Urtasun and Zemel, "Understanding the effective receptive field in deep convolutional
neural networks", 2016, https://arxiv.org/abs/1701.04128.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lucency.anatomy.graph import activations
from lucency.anatomy.layers import Anatomy, Layer

SHARE = 0.95
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Effect:
    """
    The sight of the centre unit of one layer.

    Attributes:
        gradient: Of the unit's channels together with respect to each pixel, absolute, h x w.
        box: First and last row, first and last column that the unit can see at all.
        size: Side in pixels of the smallest square around the centre of the box that holds
            95 % of the gradient inside the film.
    """

    layer: Layer
    gradient: Plane
    box: tuple[tuple[int, int], tuple[int, int]]
    size: int


def stages(anatomy: Anatomy, most: int = 6) -> list[Layer]:
    """
    The last map of every size, from shallow to deep; evenly thinned to ``most``.

    A network that hardly shrinks its maps shows its convolutions instead.
    """
    by_size: dict[tuple[int, int] | None, Layer] = {}
    for layer in anatomy.maps:
        by_size[layer.map_size] = layer
    found = list(by_size.values())
    if len(found) < 3:
        found = [layer for layer in anatomy.maps if layer.multiply_adds or layer is found[-1]]
    places = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    return [found[place] for place in dict.fromkeys(places.tolist())]


def effects(
    anatomy: Anatomy, image_chw: Tensor, layers: list[Layer]
) -> tuple[list[Tensor], list[Effect]]:
    """Maps c x h x w of some layers, and what the centre unit of each of them sees."""
    image = image_chw[None].clone().requires_grad_()
    maps, found = [], []
    with torch.enable_grad():
        # A network may begin in place, which a leaf that wants its gradient forbids.
        kept = activations(anatomy.graph, image * 1.0, {layer.node for layer in layers})
        for layer in layers:
            assert layer.sight.axes is not None
            output = kept[layer.node].movedim(layer.sight.axes, (-2, -1))
            row, column = (size // 2 for size in output.shape[-2:])
            unit = output[..., row, column].sum()
            (gradient,) = torch.autograd.grad(unit, image, retain_graph=True)
            plane = gradient[0].abs().sum(0).numpy()
            maps.append(output[0].detach())
            found.append(_effect(anatomy, layer, plane, (row, column)))
    return maps, found


def _effect(anatomy: Anatomy, layer: Layer, plane: Plane, unit: tuple[int, int]) -> Effect:
    assert layer.sight.spans is not None
    rows, columns = (
        span.pixels(place, side)
        for span, place, side in zip(layer.sight.spans, unit, anatomy.input[1:], strict=True)
    )
    return Effect(layer, plane, (rows, columns), _extent(plane, layer, unit))


def _extent(plane: Plane, layer: Layer, unit: tuple[int, int]) -> int:
    assert layer.start is not None
    assert layer.jump is not None
    total = plane.sum()
    centre = [
        start + i * jump for start, i, jump in zip(layer.start, unit, layer.jump, strict=True)
    ]
    rows, columns = np.indices(plane.shape)
    distance = np.maximum(abs(rows + 0.5 - centre[0]), abs(columns + 0.5 - centre[1]))
    order = np.argsort(distance, axis=None)
    held = np.cumsum(plane.ravel()[order]) >= SHARE * total
    radius = distance.ravel()[order][np.argmax(held)]
    return int(np.ceil(2 * radius + 1e-6)) if total > 0 else 0
