"""What takes detail from a film: focus, movement, compression, too few pixels."""

import math

import cv2
import numpy as np

from lucency.robustness.base import corruptions, grain, level, resized


@corruptions.register("defocus")
def defocus(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """A focal spot too large: a disc, its radius a share of the shorter side."""
    share = level((0.005, 0.008, 0.012, 0.018, 0.026), severity)
    radius = share * min(film_hwc.shape[:2])
    unit = np.linspace(-1, 1, 65)
    x, y = np.meshgrid(unit, unit)
    inside = np.hypot(x, y) <= 1
    return _filtered(film_hwc, radius * x[inside], radius * y[inside])


@corruptions.register("motion_blur")
def motion_blur(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """The patient moved along a straight line, its length a share of the shorter side."""
    share = level((0.01, 0.02, 0.03, 0.045, 0.065), severity)
    half = share * min(film_hwc.shape[:2]) / 2
    angle = generator.uniform(0, math.pi)
    steps = np.linspace(-half, half, 257)
    return _filtered(film_hwc, steps * math.cos(angle), steps * math.sin(angle))


@corruptions.register("jpeg")
def jpeg(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Stored as a JPEG of low quality."""
    quality = int(level((60, 35, 20, 12, 6), severity))
    done, stored = cv2.imencode(".jpg", film_hwc, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV could not encode a JPEG from a uint8 array"
    flag = cv2.IMREAD_GRAYSCALE if film_hwc.shape[2] == 1 else cv2.IMREAD_COLOR
    return np.asarray(cv2.imdecode(stored, flag)).reshape(film_hwc.shape)


@corruptions.register("resolution")
def resolution(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Made small and large again; the levels are shares of the grain's sides that are kept."""
    kept = level((0.5, 0.35, 0.25, 0.18, 0.125), severity)
    height, width = (max(1, round(kept * side)) for side in grain(film_hwc)[:2])
    small = resized(film_hwc, height, width)
    return resized(small, film_hwc.shape[0], film_hwc.shape[1], cv2.INTER_LINEAR)


def _filtered(film_hwc: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """
    The mean of the film moved to each of some points, in pixels from where it is.

    Points between pixels count for their neighbours by distance: lengths of a fraction of a pixel
    differ, on small films as well.
    """
    reach = math.ceil(max(np.abs(x).max(), np.abs(y).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = x - column, y - row
    for right, low in np.ndindex(2, 2):
        weight = np.abs(1 - right - across) * np.abs(1 - low - down)
        np.add.at(kernel, (row + reach + low, column + reach + right), weight)
    found = cv2.filter2D(film_hwc, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return found.reshape(film_hwc.shape)
