"""How the patient lies on the film: turned, or cut off."""

import cv2
import numpy as np

from lucency.robustness.base import corruptions, level


@corruptions.register("rotation")
def rotation(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Turned by degrees, to the side that the film's draw says; black where nothing was exposed."""
    degrees = level((3, 6, 10, 15, 20), severity)
    degrees *= 1 if generator.random() < 0.5 else -1
    height, width = film_hwc.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(film_hwc, turn, (width, height)).reshape(film_hwc.shape)


@corruptions.register("crop")
def crop(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Collimated too tightly: a share of each side is left, and with it the chest is larger."""
    left = level((0.95, 0.9, 0.85, 0.78, 0.7), severity)
    down, across = generator.random(2)
    height, width = (max(1, round(left * side)) for side in film_hwc.shape[:2])
    top = round(down * (film_hwc.shape[0] - height))
    start = round(across * (film_hwc.shape[1] - width))
    return film_hwc[top : top + height, start : start + width]
