"""
Text burned into a film, such as a name or a date: flagged for a person to look at, never more.

Letters are thin, of one gray, alike in height, and stand side by side on a line; anatomy is none
of this, and a lone L or R marker is no line. Both polarities are searched, at two scales.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

Box = tuple[int, int, int, int]

# Pixels: wider than any stroke of letters up to 60 px.
_STROKE = 15
# One threshold would miss faint letters or run small bright ones together.
_CONTRASTS = (40, 80, 140)
_MIN_LETTERS = 6
_HEIGHTS = (6, 60)
# Gray levels: letters are drawn in one, whatever lies under them.
_GRAY_SPREAD = 14.0
# Pixels: more than a space between two words of the largest letters.
_FURTHEST = 100


@dataclass(frozen=True)
class _Letter:
    """A spot of the size of a letter; ``gray`` is that of its brightest part."""

    left: int
    top: int
    width: int
    height: int
    gray: float

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def burned_in_text(image_hw: np.ndarray) -> list[Box]:
    """Lines of text in a uint8 film, as (left, top, width, height) in pixels; none found: []."""
    boxes: set[Box] = set()
    for scale in (1, 2):
        small = image_hw if scale == 1 else _halved(image_hw)
        for picture in (small, 255 - small):
            # What is brighter than its surroundings and thinner than the widest stroke.
            kernel = np.ones((_STROKE, _STROKE), np.uint8)
            hat = cv2.morphologyEx(picture, cv2.MORPH_TOPHAT, kernel)
            for contrast in _CONTRASTS:
                for left, top, width, height in _lines(_letters(picture, hat > contrast)):
                    boxes.add((scale * left, scale * top, scale * width, scale * height))
    return sorted(boxes)


def _halved(image_hw: np.ndarray) -> np.ndarray:
    height, width = image_hw.shape
    size = (max(width // 2, 1), max(height // 2, 1))
    return np.asarray(cv2.resize(image_hw, size, interpolation=cv2.INTER_AREA))


def _letters(picture: np.ndarray, mask: np.ndarray) -> list[_Letter]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    left, top, width, height, area = stats[1:].T
    fits = (
        (height >= _HEIGHTS[0])
        & (height <= _HEIGHTS[1])
        & (width <= 2.5 * height)
        & (area >= 0.15 * width * height)
    )
    found = []
    for number in np.flatnonzero(fits):
        x, y, w, h = (int(side[number]) for side in (left, top, width, height))
        patch = picture[y : y + h, x : x + w]
        inside = patch[labels[y : y + h, x : x + w] == number + 1]
        found.append(_Letter(x, y, w, h, float(np.percentile(inside, 90))))
    return found


def _lines(letters: list[_Letter]) -> Iterator[Box]:
    """Boxes of the rows in which enough letters follow each other."""
    rest = sorted(letters, key=lambda letter: letter.left)
    while rest:
        line = [rest.pop(0)]
        for letter in list(rest):
            if letter.left - line[-1].right > _FURTHEST:
                break
            if _follows(line[-1], letter):
                line.append(letter)
                rest.remove(letter)
        if len(line) >= _MIN_LETTERS:
            left, top = line[0].left, min(letter.top for letter in line)
            right = max(letter.right for letter in line)
            bottom = max(letter.top + letter.height for letter in line)
            yield left, top, right - left, bottom - top


def _follows(last: _Letter, letter: _Letter) -> bool:
    """Whether a letter stands beside another on one line, in one size and one gray."""
    high = max(last.height, letter.height)
    gap = letter.left - last.right
    return (
        -0.4 * high < gap <= 1.6 * high
        and abs(letter.middle - last.middle) < 0.35 * high
        and min(last.height, letter.height) > 0.55 * high
        and abs(letter.gray - last.gray) <= _GRAY_SPREAD
    )
