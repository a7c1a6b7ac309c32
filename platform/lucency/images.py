"""
Encoded bytes -> checked 8-bit pixels. Every film in training, evaluation and serving enters here.

Only PNG and JPEG are tried, chosen by their first bytes. The header is read and judged before
any pixel is decoded, so that a small file can't ask for a large amount of memory.
"""

import io
import struct
from typing import Literal

import cv2
import numpy as np
from PIL import ExifTags, Image

from lucency.errors import ImageError

Color = Literal["L", "RGB"]

MIN_SIDE = 16
MAX_PIXELS = 40_000_000
# Start-of-frame codes that a film can have: baseline, extended sequential, progressive.
# libjpeg turns a wrongly labelled arithmetic-coded stream to noise without an error.
_ALLOWED_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
# A film has some thousands of parts and ten scans at most. Pillow walks the parts in Python and
# libjpeg goes over the whole picture for each scan: a small file of many would take minutes.
_MAX_PARTS = 65_536
_MAX_SCANS = 64
# What undoes each EXIF orientation; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, *, color: Color = "L", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """
    One film as pixels, turned upright by its EXIF orientation.

    16-bit films are stretched from their own darkest to their own brightest value, because a
    12-bit detector stored in 16 bits would otherwise be nearly black.

    Returns:
        uint8 array, h x w x c with c = 1 for ``L`` and 3 for ``RGB``.

    Raises:
        ImageError: with reason ``empty``, ``unsupported_type``, ``unreadable``, ``truncated``,
            ``too_small``, ``too_many_pixels`` or ``animated``.
    """
    image = _open(data, max_pixels)
    try:
        image.load()
        image = _upright(image)
        if image.mode in _SIXTEEN_BIT or image.mode == "F":
            image = _stretch(image)
        image = _flatten(image)
        pixels = np.asarray(image.convert(color))
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as cause:
        raise ImageError(
            "truncated", f"the image data is damaged or cut off ({cause}); send the whole file"
        ) from cause
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def content_type(data: bytes) -> str:
    """
    The media type by the first bytes, whatever a name or header says.

    Raises:
        ImageError: ``empty`` or ``unsupported_type``.
    """
    if not data:
        raise ImageError("empty", "the body has no bytes; send a JPEG or PNG film")
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    raise ImageError(
        "unsupported_type",
        f"the first bytes are {data[:8]!r}, neither JPEG nor PNG; send one of these",
    )


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of a uint8 array: h x w, h x w x 1 or h x w x 3 (RGB)."""
    pixels = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", pixels)
    assert done, "OpenCV could not encode a PNG from a uint8 array"
    return encoded.tobytes()


def size(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """
    Width and height in pixels as the header gives them; no pixel is decoded.

    Raises:
        ImageError: as ``decode``, for what the header shows.
    """
    image = _open(data, max_pixels)
    return image.width, image.height


def _open(data: bytes, max_pixels: int) -> Image.Image:
    kind = content_type(data)
    if kind == "image/jpeg":
        _check_segments(data)
    else:
        _check_chunks(data)
    # Pillow warns over 89 megapixels and raises over 179; ours is the only limit that speaks.
    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
    except (OSError, ValueError, SyntaxError, struct.error) as cause:
        raise ImageError(
            "unreadable", f"the file starts as {kind} but its header can't be read"
        ) from cause
    if image.width * image.height > max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"the header promises {image.width} x {image.height} pixels; "
            f"the limit is {max_pixels} in all",
        )
    if min(image.width, image.height) < MIN_SIDE:
        raise ImageError(
            "too_small",
            f"the film has {image.width} x {image.height} pixels; "
            f"each side must have {MIN_SIDE} or more",
        )
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError("animated", "the file holds several frames; send a single film")
    return image


def _check_segments(data: bytes) -> None:
    """Walk the JPEG segments up to the first scan, and count the scans."""
    position, framed = 2, False
    for _ in range(_MAX_PARTS):
        if position + 4 > len(data) or data[position] != 0xFF:
            break
        code = data[position + 1]
        if code == 0xFF:
            position += 1
            continue
        if code == _SCAN:
            if not framed:
                break
            if data.count(bytes([0xFF, _SCAN]), position) > _MAX_SCANS:
                raise ImageError("unreadable", f"the JPEG has more than {_MAX_SCANS} scans")
            return
        if code in _FRAMES - _ALLOWED_FRAMES:
            raise ImageError(
                "unreadable",
                f"the JPEG is coded by process {code - 0xC0}; "
                "baseline, extended or progressive (0, 1, 2) is expected",
            )
        framed = framed or code in _FRAMES
        position += 2 + int.from_bytes(data[position + 2 : position + 4])
    raise ImageError("truncated", "the JPEG ends before its picture begins; send the whole file")


def _check_chunks(data: bytes) -> None:
    """Walk the PNG chunks; where they end too early the decoder will say so."""
    position = 8
    for _ in range(_MAX_PARTS):
        if position + 8 > len(data):
            return
        position += 12 + int.from_bytes(data[position : position + 4])
    raise ImageError("unreadable", f"the PNG has more than {_MAX_PARTS} chunks")


def _upright(image: Image.Image) -> Image.Image:
    # Pillow's own exif_transpose writes all other tags anew, and fails on a damaged one.
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _stretch(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        raise ImageError("unreadable", "the film holds values that are not finite numbers")
    scaled = (values - low) * (255.0 / max(high - low, 1.0))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _flatten(image: Image.Image) -> Image.Image:
    """Transparent pixels become black: outside the film there is no exposure."""
    if image.mode not in ("LA", "RGBA", "PA") and "transparency" not in image.info:
        return image
    layers = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, (0, 0, 0, 255)), layers)
