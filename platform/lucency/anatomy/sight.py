"""
What a unit really listens to: the gradient of the centre unit of each stage on a film.

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
# A single film leaves chance in the gradient; a hundred of them, as in the paper, take minutes.
MOST_FILMS = 8
NOISE = 0.1
_MULTIPLY_ADDS = 6e9
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Effect:
    """
    The sight of the centre unit of one layer.

    Attributes:
        gradient: Of the unit's channels together with respect to each pixel, absolute, mean
            over the films, h x w.
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


def films(anatomy: Anatomy, image_chw: Tensor) -> list[Tensor]:
    """
    A film and copies of it with noise of a tenth of its range, as many as are seen in a second.
    """
    affordable = int(_MULTIPLY_ADDS / max(anatomy.multiply_adds, 1))
    count = min(max(affordable, 1), MOST_FILMS)
    deviation = NOISE * float(image_chw.max() - image_chw.min())
    chance = torch.Generator().manual_seed(0)
    noise = [torch.randn(image_chw.shape, generator=chance) for _ in range(count - 1)]
    return [image_chw, *(image_chw + deviation * each for each in noise)]


def effects(
    anatomy: Anatomy, films_chw: list[Tensor], layers: list[Layer]
) -> tuple[list[Tensor], list[Effect]]:
    """Maps c x h x w of some layers on the first film, and what the centre units of them see."""
    units = [_centre(layer) for layer in layers]
    maps, planes = _looked(anatomy, films_chw[0], layers, units)
    # One at a time: a graph from torch.export has its batch of one inside.
    for film_chw in films_chw[1:]:
        _, more = _looked(anatomy, film_chw, layers, units)
        planes = [plane + each for plane, each in zip(planes, more, strict=True)]
    found = [
        _effect(anatomy, layer, plane / np.float32(len(films_chw)), unit)
        for layer, plane, unit in zip(layers, planes, units, strict=True)
    ]
    return maps, found


def _centre(layer: Layer) -> tuple[int, int]:
    assert layer.map_size is not None
    return layer.map_size[0] // 2, layer.map_size[1] // 2


def _looked(
    anatomy: Anatomy, film_chw: Tensor, layers: list[Layer], units: list[tuple[int, int]]
) -> tuple[list[Tensor], list[Plane]]:
    """Maps on one film, and the absolute gradient of one unit of each, summed over colours."""
    image = film_chw[None].clone().requires_grad_()
    maps, planes = [], []
    with torch.enable_grad():
        # A network may begin in place, which a leaf that wants its gradient forbids.
        kept = activations(anatomy.graph, image * 1.0, {layer.node for layer in layers})
        for layer, (row, column) in zip(layers, units, strict=True):
            assert layer.sight.axes is not None
            output = kept[layer.node].movedim(layer.sight.axes, (-2, -1))
            unit = output[..., row, column].sum()
            (gradient,) = torch.autograd.grad(unit, image, retain_graph=True)
            maps.append(output[0].detach())
            planes.append(gradient[0].abs().sum(0).numpy())
    return maps, planes


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
