"""
The family of corruptions: functions that make one film worse, by a severity of 1 to 5.

After ImageNet-C (Hendrycks and Dietterich, 2019, https://arxiv.org/abs/1903.12261), with what
goes wrong with radiographs. Lengths are shares of the film's shorter side, and grain is that of
a film of ``GRID`` cells: a severity looks the same on a film of 224 pixels and on one of 2000,
which the preprocessing would otherwise average clean.
"""

import cv2
import numpy as np

from lucency import seed
from lucency.registry import Family, Options

SEVERITIES = (1, 2, 3, 4, 5)
# What has no degrees: a film is inverted or it is not.
_ONCE = frozenset({"inverted"})
GRID = 256

# A function of film (uint8, h x w x c), severity and generator; what it gives is uint8 as well,
# with as many channels.
corruptions: Family[np.ndarray] = Family("corruption", "lucency.robustness.corruptions")


def severities(name: str) -> tuple[int, ...]:
    """The severities that a corruption has."""
    return (1,) if name in _ONCE else SEVERITIES


def every() -> tuple[Options, ...]:
    """All registered corruptions with their default options."""
    return tuple(corruptions.options(name).model_validate({}) for name in corruptions.names())


def corrupt(
    film_hwc: np.ndarray, options: Options, severity: int, *, digest: str, seed_number: int = 0
) -> np.ndarray:
    """
    A film made worse; the same for the same film, corruption, severity and seed.

    All severities of a film draw the same numbers: a film that is turned to the left is turned
    further to the left, so that a curve over severities shows the severity alone.
    """
    generator = seed.generator(seed_number, "corruption", options.name, digest)
    made = corruptions.build(options, film_hwc, severity, generator)
    return np.ascontiguousarray(made)


def level(values: tuple[float, ...], severity: int) -> float:
    """The entry of a severity."""
    assert severity in SEVERITIES, f"severity {severity} is not one of {SEVERITIES}"
    return values[severity - 1]


def grain(film_hwc: np.ndarray) -> tuple[int, int, int]:
    """Shape of the grid that noise is drawn on: the film's, its shorter side ``GRID`` at most."""
    height, width, channels = film_hwc.shape
    factor = min(1.0, GRID / min(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor)), channels


def resized(
    film_hwc: np.ndarray, height: int, width: int, interpolation: int = cv2.INTER_AREA
) -> np.ndarray:
    """h x w x c of another size; OpenCV alone drops a single channel."""
    if film_hwc.shape[:2] == (height, width):
        return film_hwc
    found = cv2.resize(film_hwc, (width, height), interpolation=interpolation)
    return found.reshape(height, width, film_hwc.shape[2])


def clipped(film_hwc: np.ndarray) -> np.ndarray:
    """Gray values rounded to uint8."""
    found: np.ndarray = np.rint(np.clip(film_hwc, 0, 255)).astype(np.uint8)
    return found
