"""Pictures of a network: first filters, maps of every stage, and what a unit sees. PNG bytes."""

import io
from typing import Any

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from lucency.anatomy.layers import Layer
from lucency.anatomy.sight import Effect, Plane

INK, MUTED = "#1c2630", "#66717d"
COLORS = ("#3d9bd1", "#4fb286", "#e0b13a", "#e07b39", "#c9444d")
STYLE: Any = {
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.titlesize": 11,
}
DPI = 110
MOST_FILTERS = 64
MAPS = 8


def first_convolution(model: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """The convolution that meets the film, with its name."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module
    return None


def filters(model: nn.Module, weights: str) -> bytes | None:
    """
    The first layer's filters, each scaled to its own extremes; None without a convolution.

    Args:
        weights: Where they are from, for the title.
    """
    found = first_convolution(model)
    if found is None:
        return None
    name, layer = found
    weight_ohwi = layer.weight.detach().float().permute(0, 2, 3, 1).numpy()
    count, high, wide, channels = weight_ohwi.shape
    shown = min(count, MOST_FILTERS)
    columns = min(16, shown)
    rows = -(-shown // columns)
    with rc_context(STYLE):
        high_in = 0.5 + 0.6 * rows
        figure = Figure(figsize=(9.6, high_in))
        figure.suptitle(
            f"Filters of the first convolution, {name}: {shown} of {count}, {high} x {wide} on "
            f"{channels} channels; {weights}",
            x=0.006,
            y=1 - 0.08 / high_in,
            ha="left",
        )
        grid = _margins(high_in, gap=0.12)
        panels = figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid).ravel()
        for place, axes in enumerate(panels):
            axes.set_axis_off()
            if place < shown:
                one = weight_ohwi[place]
                one = one if channels == 3 else one.mean(axis=2)
                axes.imshow(_stretched(one), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        return _png(figure)


def feature_maps(film: Plane, kept: list[tuple[Layer, Tensor]], weights: str) -> bytes:
    """
    One row a stage from shallow to deep; the maps that vary most, by falling variance.

    Args:
        film: As the network gets it, gray, h x w.
        kept: Stages with their outputs c x h x w.
    """
    with rc_context(STYLE):
        high_in = 0.6 + 1.3 * len(kept)
        figure = Figure(figsize=(10.4, high_in))
        figure.suptitle(
            f"Feature maps from shallow to deep; {weights}",
            x=0.006,
            y=1 - 0.08 / high_in,
            ha="left",
        )
        margins = {**_margins(high_in, gap=0.05), "hspace": 0.2, "top": 1 - 0.55 / high_in}
        grid = figure.subplots(
            len(kept),
            MAPS + 1,
            squeeze=False,
            width_ratios=[1.75, *[1] * MAPS],
            gridspec_kw=margins,
        )
        for row, (layer, output_chw) in zip(grid, kept, strict=True):
            maps = output_chw.float().numpy()
            _label(row[0], layer, len(maps))
            order = np.argsort(-maps.var(axis=(1, 2)), kind="stable")[:MAPS]
            for axes in row[1:]:
                axes.set_axis_off()
            for axes, channel in zip(row[1:], order, strict=False):
                axes.imshow(
                    _stretched(maps[channel], 0.01),
                    cmap="gray",
                    vmin=0,
                    vmax=1,
                    interpolation="nearest",
                    aspect="auto" if film.shape[0] != film.shape[1] else None,
                )
                axes.set_title(f"{channel}", fontsize=7, color=MUTED, loc="center", pad=2)
        return _png(figure)


def sights(film: Plane, effects: list[Effect], weights: str) -> bytes:
    """
    What the centre unit of each stage can see (box) and does listen to (warm), on the film.
    """
    columns = len(effects) + 1
    with rc_context(STYLE):
        figure = Figure(figsize=(2.35 * columns, 3.3))
        figure.suptitle(
            f"What the centre unit of each stage sees of the film; {weights}",
            x=0.004,
            y=1 - 0.08 / 3.3,
            ha="left",
        )
        margins = {**_margins(3.3, gap=0.04), "top": 1 - 0.8 / 3.3}
        first, *panels = figure.subplots(1, columns, gridspec_kw=margins)
        first.imshow(film, cmap="gray", vmin=0, vmax=1)
        first.set_title("all stages:\nwhat can be seen")
        for effect, axes, color in zip(effects, panels, COLORS * 9, strict=False):
            _box(first, effect, color)
            axes.imshow(film, cmap="gray", vmin=0, vmax=1)
            axes.imshow(_heat(effect, film.shape), vmin=0, vmax=1)
            _box(axes, effect, color)
            down, across = effect.layer.receptive_field
            can = f"{down} px" if down == across else f"{down} x {across} px"
            axes.set_title(f"{_short(effect.layer.name)}\ncan see {can}, 95 % in {effect.size} px")
        for axes in (first, *panels):
            axes.set(xticks=(), yticks=(), xlim=(-0.5, film.shape[1] - 0.5))
            axes.set_ylim(film.shape[0] - 0.5, -0.5)
        return _png(figure)


def _margins(high_in: float, gap: float) -> dict[str, float]:
    """Room for a title; laying out fifty panels by their contents would take seconds."""
    top = 1 - 0.4 / high_in
    return {
        "left": 0.005, "right": 0.995, "bottom": 0.02, "top": top, "wspace": gap, "hspace": gap,
    }  # fmt: skip


def _label(axes: Axes, layer: Layer, channels: int) -> None:
    down, across = layer.map_size or (0, 0)
    axes.set_axis_off()
    text = (
        f"{_short(layer.name)}\n{channels} maps, {down} x {across}\n"
        f"sees {layer.receptive_field[0]} px"
    )
    axes.text(0, 0.5, text, va="center", transform=axes.transAxes, fontsize=8.5)


def _box(axes: Axes, effect: Effect, color: str) -> None:
    (top, bottom), (left, right) = effect.box
    axes.add_patch(
        Rectangle(
            (left - 0.5, top - 0.5),
            right - left + 1,
            bottom - top + 1,
            fill=False,
            edgecolor=color,
            linewidth=1.8,
            clip_on=False,
        )
    )


def _heat(effect: Effect, shape: tuple[int, ...]) -> np.ndarray:
    """Orange, the more opaque the stronger; single pixels are smoothed by half a jump."""
    jump = effect.layer.jump or (1.0, 1.0)
    plane = cv2.GaussianBlur(effect.gradient, (0, 0), max(0.8, max(jump) / 4))
    strength = np.sqrt(plane / max(float(plane.max()), 1e-12))
    heat = np.zeros((*shape[:2], 4), np.float32)
    (top, bottom), (left, right) = effect.box
    inside = slice(top, bottom + 1), slice(left, right + 1)  # smoothing must not leave the box
    heat[..., 0], heat[..., 1] = 1.0, 0.55
    heat[(*inside, 3)] = 0.85 * strength[inside]
    return heat


def _stretched(plane: np.ndarray, cut: float = 0.0) -> np.ndarray:
    """To 0..1; ``cut`` is the share of values at each end that may saturate."""
    low, high = np.quantile(plane, (cut, 1 - cut))
    if high - low < 1e-12:
        return np.full(plane.shape, 0.5, np.float32)
    return np.asarray(np.clip((plane - low) / (high - low), 0, 1), np.float32)


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"...{name[-23:]}"


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # No maker's name: equal data give equal bytes.
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None}, facecolor="white")
    return stream.getvalue()
