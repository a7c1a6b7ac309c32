"""Pictures of a network: first filters, maps of every stage, and what a unit sees. PNG bytes."""

import cv2
import numpy as np
from torch import Tensor, nn

from lucency.anatomy.layers import Layer
from lucency.anatomy.sheet import LINE, MARGIN, MUTED, SMALL, TITLE, Pixels, Sheet, shortened
from lucency.anatomy.sight import Effect, Plane

COLORS = ("#3d9bd1", "#4fb286", "#e0b13a", "#e07b39", "#c9444d", "#8a63b8")
HEAT = np.array((255, 140, 0), np.float32)
MOST_FILTERS, FILTERS_A_ROW = 64, 16
MAPS = 8
_GAP = 6
_TOP = MARGIN + TITLE + 18
_FILTER, _MAP, _FILM = 62, 112, 224
_FILMS_A_ROW = 4
_LABEL = 208


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
    rows, step = -(-shown // FILTERS_A_ROW), _FILTER + _GAP
    sheet = Sheet(
        2 * MARGIN + FILTERS_A_ROW * step - _GAP,
        _TOP + rows * step - _GAP + MARGIN,
        f"Filters of the first convolution, {name}: {shown} of {count}, {high} x {wide} on "
        f"{channels} channel{'s' * (channels > 1)}; {weights}",
    )
    for place in range(shown):
        row, column = divmod(place, FILTERS_A_ROW)
        one = weight_ohwi[place] if channels == 3 else weight_ohwi[place].mean(axis=2)
        tile = _tile(_stretched(one), _FILTER)
        sheet.picture(MARGIN + column * step, _TOP + row * step, tile)
    return sheet.png()


def feature_maps(kept: list[tuple[Layer, Tensor]], weights: str) -> bytes:
    """
    One row a stage from shallow to deep; the maps that vary most, by falling variance.

    Args:
        kept: Stages with their outputs c x h x w.
    """
    across, down = _MAP + _GAP, _MAP + LINE + 2 * _GAP
    sheet = Sheet(
        _LABEL + MAPS * across - _GAP + MARGIN,
        _TOP + len(kept) * down,
        f"Feature maps from shallow to deep; {weights}",
    )
    for row, (layer, output_chw) in enumerate(kept):
        maps, top = output_chw.float().numpy(), _TOP + row * down
        sheet.text(MARGIN, top + _MAP // 2 - LINE // 2, _label(layer, len(maps)))
        order = np.argsort(-maps.var(axis=(1, 2)), kind="stable")[:MAPS]
        for column, channel in enumerate(order):
            left = _LABEL + column * across
            sheet.text(left, top, str(channel), size=SMALL, color=MUTED)
            sheet.picture(left, top + LINE, _tile(_stretched(maps[channel], 0.01), _MAP))
    return sheet.png()


def sights(film: Plane, effects: list[Effect], weights: str) -> bytes:
    """
    What the centre unit of each stage can see (box) and does listen to (warm), on the film.

    Args:
        film: As the network gets it, gray, h x w, 0 to 1.
    """
    across, down = _FILM + 2 * _GAP, _FILM + 2 * LINE + 2 * _GAP
    sheet = Sheet(
        2 * MARGIN + _FILMS_A_ROW * across - 2 * _GAP,
        _TOP + (len(effects) // _FILMS_A_ROW + 1) * down,
        f"What the centre unit of each stage sees of the film; {weights}",
    )
    sheet.text(MARGIN, _TOP, "all stages:\nwhat can be seen")
    sheet.picture(MARGIN, _TOP + 2 * LINE + _GAP, _tile(film, _FILM))
    for place, effect in enumerate(effects):
        row, column = divmod(place + 1, _FILMS_A_ROW)
        left, top = MARGIN + column * across, _TOP + row * down
        name = shortened(effect.layer.name, _FILM)
        can = "{:,} px" if len(set(effect.layer.receptive_field)) == 1 else "{:,} x {:,} px"
        seen = can.format(*effect.layer.receptive_field)
        sheet.text(left, top, f"{name}\ncan see {seen}, 95 % in {effect.size} px")
        top += 2 * LINE + _GAP
        sheet.picture(left, top, _tile(_warmed(film, effect), _FILM))
        color = COLORS[place % len(COLORS)]
        _box(sheet, (left, top), effect, film.shape, color)
        _box(sheet, (MARGIN, _TOP + 2 * LINE + _GAP), effect, film.shape, color)
    return sheet.png()


def _label(layer: Layer, channels: int) -> str:
    down, across = layer.map_size or (0, 0)
    return (
        f"{shortened(layer.name, _LABEL - MARGIN - _GAP)}\n{channels} maps, {down} x {across}\n"
        f"sees {layer.receptive_field[0]:,} px"
    )


def _box(
    sheet: Sheet, corner: tuple[int, int], effect: Effect, shape: tuple[int, ...], color: str
) -> None:
    """Around the pixels that can be seen, cut off at the film's border."""
    (first, last), (west, east) = effect.box
    left, top = corner
    down, across = _FILM / shape[0], _FILM / shape[1]
    sheet.box(
        left + round(west * across),
        top + round(first * down),
        left + round((east + 1) * across) - 1,
        top + round((last + 1) * down) - 1,
        color,
    )


def _warmed(film: Plane, effect: Effect) -> np.ndarray:
    """
    Orange over the film, the more opaque the stronger, RGB 0 to 1.

    Single pixels are smoothed by a quarter of a jump, which must not leave the box.
    """
    jump = effect.layer.jump or (1.0, 1.0)
    plane = cv2.GaussianBlur(effect.gradient, (0, 0), max(0.8, max(jump) / 4))
    (first, last), (west, east) = effect.box
    inside = slice(first, last + 1), slice(west, east + 1)
    opacity = np.zeros((*film.shape, 1), np.float32)
    opacity[(*inside, 0)] = 0.85 * np.sqrt(plane / max(float(plane.max()), 1e-12))[inside]
    return np.asarray(film[:, :, None] * (1 - opacity) + HEAT / 255 * opacity)


def _tile(plane: np.ndarray, side: int) -> Pixels:
    """Values 0 to 1 as a square picture: few pixels stay sharp, many are averaged."""
    pixels = (np.clip(plane, 0, 1) * 255 + 0.5).astype(np.uint8)
    shrinks = max(plane.shape[:2]) > side
    method = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=method), np.uint8)


def _stretched(plane: np.ndarray, cut: float = 0.0) -> np.ndarray:
    """To 0..1; ``cut`` is the share of values at each end that may saturate."""
    low, high = np.quantile(plane, (cut, 1 - cut))
    if high - low < 1e-12:
        return np.full(plane.shape, 0.5, np.float32)
    return np.asarray(np.clip((plane - low) / (high - low), 0, 1), np.float32)
