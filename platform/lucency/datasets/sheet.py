"""Films for the eye: rows of pictures on one PNG, each row under its title."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from lucency import images

Picture = npt.NDArray[np.uint8]

_GAP = 4
_TITLE = 24
_BACK, _INK = 255, (48, 38, 28)


def draw(rows: Sequence[tuple[str, Sequence[Picture]]], *, side: int = 144) -> bytes:
    """
    PNG of titled rows of films, each h x w x 1 or h x w x 3 (RGB), shrunk into a square.

    A row that is shorter than others is left white at its end.
    """
    columns = max(len(pictures) for _, pictures in rows)
    width = columns * (side + _GAP) - _GAP
    bands: list[Picture] = []
    for title, pictures in rows:
        band = np.full((_TITLE + side + 2 * _GAP, width, 3), _BACK, np.uint8)
        cv2.putText(
            band, title, (0, _TITLE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA
        )
        for number, picture in enumerate(pictures):
            left = number * (side + _GAP)
            band[_TITLE : _TITLE + side, left : left + side] = square(picture, side)
        bands.append(band)
    return images.encode_png(np.vstack(bands))


def square(picture: Picture, side: int) -> Picture:
    """The whole film in its own shape on a black square, in three channels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(np.ascontiguousarray(picture), size, interpolation=method)
    placed = np.zeros((side, side, 3), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    small = small[:, :, None] if small.ndim == 2 else small
    placed[top : top + size[1], left : left + size[0]] = small
    return placed
