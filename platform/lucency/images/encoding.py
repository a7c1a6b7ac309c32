"""Pixels -> bytes without loss, for the table's rows and for what people look at."""

import struct

import cv2
import numpy as np
from isal import isal_zlib

from lucency.images.header import PNG_MAGIC

# Of PNG (ISO/IEC 15948): gray or RGB, and a row as its difference to the row above.
_COLOR_TYPES = {1: 0, 3: 2}
_UP = 2
# 0 is as fast, and a tenth larger.
_LEVEL = 1


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of a uint8 array: h x w, h x w x 1 or h x w x 3 (RGB)."""
    pixels = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", pixels)
    assert done, "OpenCV could not encode a PNG from a uint8 array"
    return encoded.tobytes()


def encode_png_fast(image_hwc: np.ndarray) -> bytes:
    """
    The same pixels in a third of the time, for who waits for an answer; h x w x 1 or h x w x 3.

    One filter for all rows, and ISA-L's deflate: of a film, a tenth fewer bytes than OpenCV's.
    """
    height, width, channels = image_hwc.shape
    pixels = image_hwc.reshape(height, -1)
    rows = np.empty((height, 1 + pixels.shape[1]), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPES[channels], 0, 0, 0)
    body = isal_zlib.compress(rows.data, _LEVEL)
    return b"".join((PNG_MAGIC, _chunk(b"IHDR", head), _chunk(b"IDAT", body), _chunk(b"IEND", b"")))


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = isal_zlib.crc32(content, isal_zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checked)
