"""
Encoded bytes of any kind -> a film as the network's recipe wants it: JPEG, PNG, DICOM.

A DICOM film is rendered as preparation renders it before it writes a PNG, so a film has one
answer whichever way it comes. Of its header the view, a word of the standard's, and whether
there is text in the pixels are all that leaves the decoding process.
"""

from typing import NamedTuple

import numpy as np

from lucency import images
from lucency.dicom import decoder
from lucency.errors import ImageError
from lucency.images import Color
from lucency.preprocess import Preprocess

DICOM = "application/dicom"
_PREAMBLE = 128
_PREFIX = b"DICM"


def content_type(data: bytes) -> str:
    """
    The media type by content, whatever a name or header says.

    A data set without preamble counts as no film: any text might be taken for one.

    Raises:
        ImageError: ``empty`` or ``unsupported_type``; the message repeats none of the bytes.
    """
    try:
        return images.content_type(data)
    except ImageError as refusal:
        if data[_PREAMBLE : _PREAMBLE + len(_PREFIX)] == _PREFIX:
            return DICOM
        if refusal.reason == "empty":
            raise
        raise ImageError(
            "unsupported_type",
            "the body is neither JPEG nor PNG nor DICOM with its preamble, by its first bytes; "
            "send one of these",
        ) from None


class Film(NamedTuple):
    """
    A decoded film.

    Attributes:
        pixels_hwc: uint8.
        view: As its header says; '' of what is no DICOM.
        burned_in: Whether its header says that there is text in the pixels.
    """

    pixels_hwc: np.ndarray
    view: str = ""
    burned_in: bool = False


def working(data: bytes, preprocess: Preprocess, *, max_pixels: int) -> Film:
    """
    The decoded film, no larger than the input needs if that saves work.

    Raises:
        ImageError: the bytes are not a usable film.
    """
    if content_type(data) != DICOM:
        return Film(preprocess.working(data, max_pixels=max_pixels))
    return _rendered(data, preprocess.color, max_pixels)


def whole(data: bytes, *, color: Color, max_pixels: int, at_least: int = 0) -> np.ndarray:
    """
    The decoded film in its own size, uint8 h x w x c.

    Args:
        at_least: A larger one may come smaller, if that saves work; see ``images.decode``.

    Raises:
        ImageError: the bytes are not a usable film.
    """
    if content_type(data) != DICOM:
        return images.decode(data, color=color, max_pixels=max_pixels, at_least=at_least)
    return _rendered(data, color, max_pixels).pixels_hwc


def _rendered(data: bytes, color: Color, max_pixels: int) -> Film:
    found = decoder.rendered(data, max_pixels=max_pixels)
    gray = found.pixels_hw[:, :, None]
    pixels_hwc = gray if color == "L" else np.repeat(gray, 3, axis=2)
    return Film(pixels_hwc, found.view, found.burned_in)
