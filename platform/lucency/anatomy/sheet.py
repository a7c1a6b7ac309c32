"""A white sheet on which pictures, boxes and words are placed by the pixel; answers with a PNG."""

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from lucency import images

INK, MUTED = "#1c2630", "#66717d"
TITLE, BODY, SMALL = 17, 13, 11
LINE = 16
MARGIN = 8

Pixels = npt.NDArray[np.uint8]


class Sheet:
    """
    A page of known size. What is placed off its edge is an error of ours, not clipped in silence.

    Plotting libraries lay out axes around each picture; fifty pictures took them a second.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self._image = Image.new("RGB", (max(width, _width(title, TITLE) + 2 * MARGIN), height))
        self._image.paste("white", (0, 0, *self._image.size))
        self._draw = ImageDraw.Draw(self._image)
        self.text(MARGIN, MARGIN, title, size=TITLE)

    def picture(self, left: int, top: int, pixels: Pixels) -> None:
        """Place gray h x w or RGB h x w x 3 values."""
        high, wide = pixels.shape[:2]
        assert left + wide <= self._image.width, f"{left} + {wide} leaves the sheet"
        assert top + high <= self._image.height, f"{top} + {high} leaves the sheet"
        self._image.paste(Image.fromarray(pixels), (left, top))

    def text(self, left: int, top: int, lines: str, *, size: int = BODY, color: str = INK) -> None:
        """Write lines of one size from a corner down."""
        for number, line in enumerate(lines.splitlines()):
            self._draw.text((left, top + number * LINE), line, font=_font(size), fill=color)

    def box(self, left: int, top: int, right: int, bottom: int, color: str) -> None:
        """Outline, two pixels wide, around the pixels from one corner to the other."""
        self._draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline=color, width=2)

    def png(self) -> bytes:
        """The sheet as it is now; equal sheets give equal bytes."""
        return images.encode_png(np.asarray(self._image))


def shortened(text: str, width: int, size: int = BODY) -> str:
    """Text that fits a width: of a long name the end tells layers apart."""
    kept = text
    while kept and _width(kept if kept == text else f"...{kept}", size) > width:
        kept = kept[1:]
    return kept if kept == text else f"...{kept}"


def _width(text: str, size: int) -> int:
    return int(_font(size).getlength(text)) + 1


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font
