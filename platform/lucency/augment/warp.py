"""
Rotation, zoom, shift, mirror and resize as one matrix and one interpolation.

The parameters are those of albumentations' Affine, HorizontalFlip and RandomBrightnessContrast
followed by Resize, drawn from the same distributions.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from lucency.augment.limits import Augmentation, Border
from lucency.preprocess import Preprocess

# Numbers that one variation takes.
DRAWS = 10
_LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
# OpenCV's mirror runs through the middle of the outermost pixels, so none of them stands twice.
BORDERS: dict[Border, int] = {"black": cv2.BORDER_CONSTANT, "mirror": cv2.BORDER_REFLECT_101}


class Variation(NamedTuple):
    """
    One draw, in fractions of the film: what happens to a film whatever its size.

    Attributes:
        angle: Radians, anticlockwise as one looks at the film.
        zoom_x: Factor along the rows.
        shift_x: Share of the width, to the right.
        flipped: Mirrored left to right, last of all.
        brightness: Share of the full range added.
        contrast: Factor on the gray levels.
        blur_sigma: Pixels of the input; 0 leaves it sharp.
    """

    angle: float
    zoom_x: float
    zoom_y: float
    shift_x: float
    shift_y: float
    flipped: bool
    brightness: float
    contrast: float
    blur_sigma: float


def draw(augmentation: Augmentation, size: int, uniform: Callable[[], float]) -> Variation:
    """
    A variation within the limits.

    Args:
        size: Side of the input, whose pixels shifts may have to be whole numbers of.
        uniform: Gives numbers between -1 and 1; always called equally often, so that a limit
            that changes leaves the draws of the others as they were.
    """
    limits = augmentation
    angle, zoom_x, zoom_y, shift_x, shift_y, side, brightness, contrast, sharp, sigma = (
        uniform() for _ in range(DRAWS)
    )
    right, down = limits.shift * shift_x, limits.shift * shift_y
    if limits.whole_pixels:
        right, down = round(right * size) / size, round(down * size) / size
    return Variation(
        angle=math.radians(limits.rotate_degrees * angle),
        zoom_x=1 + limits.zoom * zoom_x,
        zoom_y=1 + limits.zoom * (zoom_x if limits.keep_aspect else zoom_y),
        shift_x=right,
        shift_y=down,
        flipped=limits.flip and side < 0,
        brightness=limits.brightness * brightness,
        contrast=1 + limits.contrast * contrast,
        blur_sigma=limits.blur_sigma * (sigma + 1) / 2 if sharp < 0 else 0.0,
    )


def matrix(
    variation: Variation, film_hw: tuple[int, int], picture_hw: tuple[int, int], size: int
) -> np.ndarray:
    """
    Where each pixel of the input lies on the film: 2 x 3, for ``cv2.WARP_INVERSE_MAP``.

    The film is turned about its centre in its own plane, zoomed, shifted, then squeezed to the
    square and mirrored. Pixels are squares whose centres have whole coordinates, so a film's
    centre is at (side - 1) / 2 and without variation this is what ``cv2.resize`` does.

    Args:
        film_hw: The plane in which the film is turned.
        picture_hw: The pixels that are read; the same film, perhaps squeezed already.
    """
    (height, width), (picture_height, picture_width) = film_hw, picture_hw
    cos, sin = math.cos(variation.angle), math.sin(variation.angle)
    to_centre = (1 - size) / 2
    step_x = width / size * (-1 if variation.flipped else 1)
    step_y = height / size
    from_x = step_x * to_centre - variation.shift_x * width
    from_y = step_y * to_centre - variation.shift_y * height
    scale_x = picture_width / width / variation.zoom_x
    scale_y = picture_height / height / variation.zoom_y
    centre_x, centre_y = (picture_width - 1) / 2, (picture_height - 1) / 2
    return np.array(
        (
            (
                scale_x * cos * step_x,
                -scale_x * sin * step_y,
                scale_x * (cos * from_x - sin * from_y) + centre_x,
            ),
            (
                scale_y * sin * step_x,
                scale_y * cos * step_y,
                scale_y * (sin * from_x + cos * from_y) + centre_y,
            ),
        )
    )


def warp(
    working: np.ndarray, variation: Variation, preprocess: Preprocess, border: Border = "black"
) -> np.ndarray:
    """
    A working film, uint8 h x w x c, turned, zoomed, shifted, mirrored and resized at once.

    One linear interpolation, as ``Preprocess.resize`` does from the same film, so that training
    sees the sharpness that serving does. A film smaller than the input is enlarged first, or
    the black around it would bleed in.

    Returns:
        uint8, size x size x c.
    """
    size = preprocess.size
    film_hw = working.shape[0], working.shape[1]
    if min(film_hw) < size or max(film_hw) >= 2 * size:
        working = preprocess.resize(working)
    found = matrix(variation, film_hw, working.shape[:2], size)
    warped = cv2.warpAffine(working, found, (size, size), flags=_LINEAR, borderMode=BORDERS[border])
    return warped[:, :, None] if warped.ndim == 2 else warped
