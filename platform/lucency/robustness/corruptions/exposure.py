"""What goes wrong when a film is exposed and developed: noise, contrast, gray scale."""

import cv2
import numpy as np

from lucency.robustness.base import clipped, corruptions, grain, level, resized

_GRAY = np.arange(256) / 255
# Gray levels of a film are about the logarithm of its exposure; behind the brightest, densest
# place one photon in twenty arrives.
_DENSITY = np.log(20.0)


@corruptions.register("gaussian_noise")
def gaussian_noise(
    film_hwc: np.ndarray, severity: int, generator: np.random.Generator
) -> np.ndarray:
    """Noise of the electronics, alike everywhere; deviation as a share of the gray range."""
    deviation = 255 * level((0.02, 0.04, 0.07, 0.11, 0.16), severity)
    noise = generator.standard_normal(grain(film_hwc)[:2], dtype=np.float32) * deviation
    return clipped(film_hwc + _enlarged(noise[:, :, None], film_hwc))


@corruptions.register("quantum_noise")
def quantum_noise(
    film_hwc: np.ndarray, severity: int, generator: np.random.Generator
) -> np.ndarray:
    """
    Too few photons: Poisson noise, strongest in dense places, where fewest come through.

    The levels are photons behind air for each cell of the grain. Libraries count photons by
    brightness, as of a photograph; on a radiograph that would put the noise into the lungs.
    """
    photons = level((4000, 1500, 600, 250, 100), severity)
    coarse = resized(film_hwc, *grain(film_hwc)[:2])
    expected = photons * np.exp(-_DENSITY * coarse.mean(axis=2, keepdims=True) / 255)
    counted = np.maximum(generator.poisson(expected), 0.5)
    noise = -np.log(counted / expected) / _DENSITY * 255
    return clipped(film_hwc + _enlarged(noise.astype(np.float32), film_hwc))


@corruptions.register("contrast")
def contrast(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """A flat film: what is left of each pixel's distance from the film's mean."""
    left = level((0.8, 0.65, 0.5, 0.35, 0.2), severity)
    mean = float(film_hwc.mean())
    return clipped(mean + left * (film_hwc.astype(np.float32) - mean))


@corruptions.register("gamma")
def gamma(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Under- or overexposed: gray values to a power, or to one over it, as the film's draw says."""
    power = level((1.25, 1.5, 1.8, 2.2, 2.8), severity)
    curve = _GRAY ** (power if generator.random() < 0.5 else 1 / power)
    return cv2.LUT(film_hwc, clipped(255 * curve)).reshape(film_hwc.shape)


@corruptions.register("inverted")
def inverted(film_hwc: np.ndarray, severity: int, generator: np.random.Generator) -> np.ndarray:
    """Black for white, as a DICOM film whose MONOCHROME1 was overlooked; one severity."""
    return 255 - film_hwc


def _enlarged(noise: np.ndarray, film_hwc: np.ndarray) -> np.ndarray:
    """Noise of the grid on the film's pixels; nearest, for interpolation would weaken it."""
    return resized(noise, film_hwc.shape[0], film_hwc.shape[1], cv2.INTER_NEAREST)
