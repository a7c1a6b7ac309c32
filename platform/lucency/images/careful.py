"""
Films of every mode, read by Pillow: 16 bits, palettes, transparency, inks, and turned films.

The slower way in, for what the fast decoders get wrong or can't judge.
"""

import io
import struct

import numpy as np
from PIL import ExifTags, Image

from lucency.errors import ImageError
from lucency.images import header

_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
# What undoes each EXIF orientation: rows and columns swapped, then the step through each.
# 1 is upright, and so is a number that does not exist.
_TURNS = {
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}
_FAULTS = (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError)


def open_film(data: bytes, kind: str, max_pixels: int) -> Image.Image:
    """
    A film whose header is read and judged, its pixels not decoded yet.

    Raises:
        ImageError: ``unreadable``, ``too_many_pixels``, ``too_small`` or ``animated``.
    """
    # Pillow warns over 89 megapixels and raises over 179; ours is the only limit that speaks.
    Image.MAX_IMAGE_PIXELS = None
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
    except (OSError, ValueError, SyntaxError, struct.error) as cause:
        raise ImageError(
            "unreadable", f"the file starts as {kind} but its header can't be read"
        ) from cause
    header.check_sides(image.width, image.height, max_pixels)
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError("animated", "the file holds several frames; send a single film")
    return image


def load(image: Image.Image, color: str) -> np.ndarray:
    """
    The upright pixels of an opened film, uint8, h x w x c.

    Raises:
        ImageError: ``truncated``, or ``unreadable`` for values that are no numbers.
    """
    try:
        image.load()
        found = orientation(image)
        if image.mode in _SIXTEEN_BIT or image.mode == "F":
            image = _stretch(image)
        pixels = np.asarray(_flatten(image).convert(color))
    except _FAULTS as cause:
        raise damaged(cause) from cause
    return upright(pixels[:, :, None] if pixels.ndim == 2 else pixels, found)


def orientation(image: Image.Image) -> int:
    """An opened film's EXIF orientation as its file has it; 1 if it has none."""
    # Pillow's own exif_transpose writes all other tags anew, and fails on a damaged one.
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _FAULTS:
        return 1  # the description is damaged, the film may be whole
    return found if isinstance(found, int) else 1


def upright(pixels: np.ndarray, found: int) -> np.ndarray:
    """Pixels, h x w x c, as a person sees the film."""
    if found not in _TURNS:
        return pixels
    swapped, down, across = _TURNS[found]
    turned = pixels.swapaxes(0, 1) if swapped else pixels
    return np.ascontiguousarray(turned[::down, ::across])


def damaged(cause: object) -> ImageError:
    """What a decoder's complaint means to whoever sent the film."""
    return ImageError(
        "truncated", f"the image data is damaged or cut off ({cause}); send the whole file"
    )


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
