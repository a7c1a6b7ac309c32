"""
Pixels -> the network's input. The only such code: training, batch jobs and HTTP all call it.

The recipe travels inside the bundle, so a model is never fed by another one's rules.
"""

from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lucency import images
from lucency.images import Color


class Preprocess(BaseModel):
    """
    Resize to a square, scale to 0..1, subtract the mean, divide by the deviation.

    Attributes:
        size: Side of the square input in pixels. The aspect ratio is not kept: in the best
            known paediatric set it differs by class, and a network would learn it.
        color: ``L`` for one channel, ``RGB`` for three (a gray film is repeated).
        mean: Per channel, on the 0..1 scale.
        std: Per channel, on the 0..1 scale.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=16, le=2048)] = 224
    color: Color = "L"
    mean: tuple[float, ...] = (0.5,)
    std: tuple[Annotated[float, Field(gt=0)], ...] = (0.25,)

    @model_validator(mode="after")
    def _one_number_per_channel(self) -> "Preprocess":
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(
                    f"{name} has {len(values)} numbers, color {self.color!r} has "
                    f"{self.channels} channels: give one number per channel"
                )
        return self

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.color == "L" else 3

    def __call__(self, data: bytes, *, max_pixels: int = images.MAX_PIXELS) -> np.ndarray:
        """
        Encoded bytes to one input, float32, c x h x w.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        decoded = images.decode(data, color=self.color, max_pixels=max_pixels)
        return self.normalise(self.resize(decoded))

    def resize(self, image: np.ndarray) -> np.ndarray:
        """uint8 h x w x c to uint8 size x size x c; shrinking averages, nothing aliases."""
        if image.shape[:2] == (self.size, self.size):
            return image
        shrinks = min(image.shape[:2]) >= self.size
        resized = cv2.resize(
            image,
            (self.size, self.size),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        return resized[:, :, None] if resized.ndim == 2 else resized

    def normalise(self, image: np.ndarray) -> np.ndarray:
        """uint8 h x w x c to float32 c x h x w."""
        mean = np.asarray(self.mean, dtype=np.float32)
        std = np.asarray(self.std, dtype=np.float32)
        scaled = (image.astype(np.float32) / np.float32(255.0) - mean) / std
        return np.ascontiguousarray(scaled.transpose(2, 0, 1))
