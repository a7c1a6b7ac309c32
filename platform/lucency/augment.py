"""Random variation of films, in training only; nothing on the serving path imports this."""

from typing import Annotated, Any

import lucency.environment  # noqa: F401 (albumentations asks the internet while it is imported)

# isort: split
import albumentations
import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Augmentation(BaseModel):
    """
    How far a film may be varied; all limits are symmetric and drawn uniformly.

    Attributes:
        rotate_degrees: Films are hung upright; more than 15 degrees is not seen in practice.
        zoom: 0.1 means 0.9 to 1.1 times the size.
        keep_aspect: False draws the zoom of width and height apart. For sets whose classes differ
            in aspect ratio: once squeezed to a square, the shape of the chest would tell the class.
        shift: Share of the side.
        brightness: Share of the full range added or taken away.
        contrast: 0.1 means 0.9 to 1.1 times the contrast.
        blur_sigma: Half of the films are blurred, by up to this many pixels; scanners and
            shrinking by different factors leave different sharpness.
        flip: Mirror half of the films. A mirrored chest has its heart on the wrong side, so
            this needs a ``flip_reason``.
        flip_reason: Why mirroring is right for these data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotate_degrees: Annotated[float, Field(ge=0, le=15)] = 10.0
    zoom: Annotated[float, Field(ge=0, le=0.3)] = 0.1
    keep_aspect: bool = True
    shift: Annotated[float, Field(ge=0, le=0.2)] = 0.05
    brightness: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    contrast: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    blur_sigma: Annotated[float, Field(ge=0, le=5)] = 0.0
    flip: bool = False
    flip_reason: str = ""

    @model_validator(mode="after")
    def _flip_is_justified(self) -> "Augmentation":
        if self.flip and not self.flip_reason.strip():
            raise ValueError(
                "flip is on without a flip_reason: a mirrored chest has its heart on the wrong "
                "side; say why that is right for these data, or switch flip off"
            )
        return self


class Augmenter:
    """
    Applies an ``Augmentation``; the same seed gives the same film, whatever came before.

    The geometric part is one affine warp, so a film is interpolated once.
    """

    def __init__(self, augmentation: Augmentation) -> None:
        self._compose: Any = albumentations.Compose(
            [
                albumentations.Affine(
                    scale=(1 - augmentation.zoom, 1 + augmentation.zoom),
                    translate_percent=(-augmentation.shift, augmentation.shift),
                    rotate=(-augmentation.rotate_degrees, augmentation.rotate_degrees),
                    border_mode=cv2.BORDER_CONSTANT,
                    keep_ratio=augmentation.keep_aspect,
                    p=1.0,
                ),
                albumentations.RandomBrightnessContrast(
                    brightness_limit=augmentation.brightness,
                    contrast_limit=augmentation.contrast,
                    p=1.0,
                ),
                albumentations.GaussianBlur(
                    sigma_limit=(min(0.1, augmentation.blur_sigma), augmentation.blur_sigma),
                    blur_limit=0,
                    p=0.5 if augmentation.blur_sigma else 0.0,
                ),
                albumentations.HorizontalFlip(p=0.5 if augmentation.flip else 0.0),
            ]
        )

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """uint8 h x w x c to the same shape and type."""
        self._compose.set_random_seed(seed)
        varied: np.ndarray = self._compose(image=image)["image"]
        return varied
