"""
Encoded bytes -> checked 8-bit pixels. Every film in training, evaluation and serving enters here.

Only PNG and JPEG are tried, chosen by their first bytes. libjpeg-turbo decodes the plain JPEGs,
Pillow whatever is out of the ordinary; both see the same checks first.
"""

from typing import Literal

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from lucency.images import careful, header

Color = Literal["L", "RGB"]

_SPACES = {"L": "GRAY", "RGB": "RGB"}
# Scales of the transform that cost no more than full size: 5, 6 and 7 eighths cost up to twice.
_EIGHTHS = (1, 2, 3, 4)
# IHDR of a PNG: 8 bits of gray or of colour, filtered as usual, not interlaced.
_PLAIN_PNG = {b"\x08\0\0\0\0": 1, b"\x08\2\0\0\0": 3}


def decode(
    data: bytes, *, color: Color = "L", max_pixels: int = header.MAX_PIXELS, at_least: int = 0
) -> np.ndarray:
    """
    One film as pixels, turned upright by its EXIF orientation.

    16-bit films are stretched from their own darkest to their own brightest value, because a
    12-bit detector stored in 16 bits would otherwise be nearly black.

    Args:
        at_least: A JPEG larger than this may come smaller, both sides no shorter than this;
            that leaves out work, not checks. 0 is full size.

    Returns:
        uint8 array, h x w x c with c = 1 for ``L`` and 3 for ``RGB``.

    Raises:
        ImageError: with reason ``empty``, ``unsupported_type``, ``unreadable``, ``truncated``,
            ``too_small``, ``too_many_pixels`` or ``animated``.
    """
    kind = header.content_type(data)
    if kind == header.JPEG:
        frame = header.walk_jpeg(data)
        if _is_plain(data, frame):
            header.check_sides(frame.width, frame.height, max_pixels)
            return _decode_jpeg(data, frame, color, max_pixels, at_least)
        header.check_scans(data, frame.scan)
    else:
        header.walk_png(data)
    return careful.load(careful.open_film(data, kind, max_pixels), color)


def decode_checked(data: bytes, *, color: Color = "L", at_least: int = 0) -> np.ndarray:
    """
    The pixels of ``decode`` for bytes that it took before, as the rows of our own table.

    Plain PNGs skip the search for what was once found absent; all else goes the usual way.
    """
    channels = _PLAIN_PNG.get(data[24:29]) if data.startswith(header.PNG_MAGIC) else None
    if channels and header.only_pixels(data):
        return _decode_png(data, color, channels)
    return decode(data, color=color, at_least=at_least)


def size(data: bytes, *, max_pixels: int = header.MAX_PIXELS) -> tuple[int, int]:
    """
    Width and height in pixels as the header gives them; no pixel is decoded.

    Raises:
        ImageError: as ``decode``, for what the header shows.
    """
    kind = header.content_type(data)
    if kind == header.JPEG:
        header.walk_jpeg(data)
    else:
        header.walk_png(data)
    image = careful.open_film(data, kind, max_pixels)
    return image.width, image.height


def _is_plain(data: bytes, frame: header.JpegFrame) -> bool:
    """Whether libjpeg-turbo can be trusted with a JPEG, and reads its header as we do."""
    if frame.bits != 8 or frame.components not in (1, 3):
        return False
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return False
    return (width, height) == (frame.width, frame.height)


def _decode_jpeg(
    data: bytes, frame: header.JpegFrame, color: Color, max_pixels: int, at_least: int
) -> np.ndarray:
    orientation = 1
    if frame.described:
        orientation = careful.orientation(careful.open_film(data, header.JPEG, max_pixels))
    height, width = _scaled(frame.height, frame.width, at_least)
    try:
        pixels: np.ndarray = simplejpeg.decode_jpeg(
            data, _SPACES[color], min_height=height, min_width=width
        )
    except ValueError as cause:
        header.check_scans(data, frame.scan)
        raise careful.damaged(cause) from cause
    return careful.upright(pixels, orientation)


def _scaled(height: int, width: int, at_least: int) -> tuple[int, int]:
    """The smallest size that the transform gives cheaply and that has both sides ``at_least``."""
    if at_least and min(height, width) > at_least:
        for eighths in _EIGHTHS:
            small = -(-height * eighths // 8), -(-width * eighths // 8)
            if min(small) >= at_least:
                return small
    return height, width


def _decode_png(data: bytes, color: Color, channels: int) -> np.ndarray:
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if pixels is None:
        return decode(data, color=color)
    if channels == 1:
        return pixels[:, :, None] if color == "L" else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    # Pillow's weights, so that both ways give the same gray.
    return (
        pixels if color == "RGB" else np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    )
