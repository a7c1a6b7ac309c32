"""Lead markers and burned-in text: what lies on a film and is not the patient."""

import cv2
import numpy as np

from lucency.robustness.base import corruptions, level

_FONT = cv2.FONT_HERSHEY_DUPLEX
_WHITE = (255, 255, 255)
_LINES = ("PORTABLE AP", "SUPINE 14:32")


@corruptions.register("marker")
def marker(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """
    A lead "L" or "R" with a bar in a corner; from severity 3 on also two lines of text opposite.

    The levels are heights of the letter as shares of the shorter side. Letter and corner are
    drawn by film, so they say nothing about the class.
    """
    height, width = film_hwc.shape[:2]
    letter_px = level((0.06, 0.09, 0.12, 0.16, 0.2), severity) * min(height, width)
    letter = "LR"[int(generator.integers(2))]
    right, low = generator.integers(2, size=2).tolist()
    plane = film_hwc.copy()
    top = height - 2 * letter_px if low else 0.4 * letter_px
    _write(plane, letter, letter_px, top, right)
    # A bar under the letter, as technicians' markers have.
    bar = round(top + 1.2 * letter_px), max(1, round(letter_px / 6))
    start = round(width - 1.2 * letter_px if right else 0.3 * letter_px)
    plane[bar[0] : bar[0] + bar[1], max(0, start) : start + round(0.9 * letter_px)] = 255
    if severity >= 3:
        line_px = letter_px / 3
        for number, line in enumerate(_LINES):
            place = (0.6 if low else height / line_px - 4) + 1.6 * number
            _write(plane, line, line_px, place * line_px, 1 - right)
    return plane


def _write(plane: np.ndarray, text: str, height_px: float, top: float, right: int) -> None:
    """Text of a height, at the left or the right edge, in place."""
    (_, unit), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale, thickness = height_px / unit, max(1, round(height_px / 9))
    (length, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    edge = round(0.03 * plane.shape[1])
    x = plane.shape[1] - length - edge if right else edge
    cv2.putText(
        plane, text, (x, round(top + height_px)), _FONT, scale, _WHITE, thickness, cv2.LINE_AA
    )
