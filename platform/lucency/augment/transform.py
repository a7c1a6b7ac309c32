"""The Augmenter's geometry for pipelines of albumentations, where masks move with their films."""

import functools
from typing import Any

import lucency.environment  # noqa: F401 (albumentations asks the internet while it is imported)

# isort: split
import albumentations
import cv2
import numpy as np
from albumentations.core.transforms_interface import BaseTransformInitSchema
from albumentations.core.type_definitions import Targets

from lucency.augment.limits import Augmentation, Border
from lucency.augment.warp import BORDERS, Variation, draw, matrix, warp
from lucency.preprocess import Preprocess

_NEAREST = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP


class Warp(albumentations.DualTransform):  # type: ignore[misc] # it publishes no types
    """
    The Augmenter's geometry as one step of an ``albumentations.Compose``, for films with masks.

    Args:
        size: Side of what comes out, in pixels.
        rotate_degrees, zoom, keep_aspect, shift, whole_pixels, border, flip, flip_reason: As in
            ``Augmentation``.
    """

    _targets = (Targets.IMAGE, Targets.MASK)

    class InitSchema(BaseTransformInitSchema):  # type: ignore[misc]
        """What albumentations checks; ``Augmentation`` checks the limits."""

        size: int
        rotate_degrees: float
        zoom: float
        keep_aspect: bool
        shift: float
        whole_pixels: bool
        border: str
        flip: bool
        flip_reason: str

    def __init__(
        self,
        size: int = 224,
        rotate_degrees: float = 10.0,
        zoom: float = 0.1,
        keep_aspect: bool = True,
        shift: float = 0.05,
        whole_pixels: bool = False,
        border: Border = "black",
        flip: bool = False,
        flip_reason: str = "",
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        self.size, self.rotate_degrees, self.zoom = size, rotate_degrees, zoom
        self.keep_aspect, self.shift = keep_aspect, shift
        self.whole_pixels, self.border = whole_pixels, border
        self.flip, self.flip_reason = flip, flip_reason
        self._augmentation = Augmentation(
            rotate_degrees=rotate_degrees,
            zoom=zoom,
            keep_aspect=keep_aspect,
            shift=shift,
            whole_pixels=whole_pixels,
            border=border,
            flip=flip,
            flip_reason=flip_reason,
        )
        self._preprocess = Preprocess(size=size)

    def get_params(self) -> dict[str, Any]:
        """One draw, from the generator that the Compose has seeded."""
        uniform = functools.partial(self.py_random.uniform, -1.0, 1.0)
        return {"variation": draw(self._augmentation, self.size, uniform)}

    def apply(self, img: np.ndarray, variation: Variation, **params: Any) -> np.ndarray:
        """The film, interpolated."""
        film = img.reshape(*img.shape[:2], -1)
        warped = warp(film, variation, self._preprocess, self.border)
        return warped.reshape(self.size, self.size, *img.shape[2:])

    def apply_to_mask(self, mask: np.ndarray, variation: Variation, **params: Any) -> np.ndarray:
        """The mask: nearest, so that it has no values it did not have."""
        found = matrix(variation, mask.shape[:2], mask.shape[:2], self.size)
        moved = cv2.warpAffine(
            mask, found, (self.size, self.size), flags=_NEAREST, borderMode=BORDERS[self.border]
        )
        return moved.reshape(self.size, self.size, *mask.shape[2:])
