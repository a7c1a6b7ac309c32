"""Pixels -> bytes without loss, for the table's rows and for what people look at."""

import cv2
import numpy as np


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of a uint8 array: h x w, h x w x 1 or h x w x 3 (RGB)."""
    pixels = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", pixels)
    assert done, "OpenCV could not encode a PNG from a uint8 array"
    return encoded.tobytes()
