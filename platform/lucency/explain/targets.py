"""
Where a map should be hot: the opacities of drawn films, and their lungs.

The table keeps a film's opacities as its mask. Lungs are drawn anew: the seed of a patient and
the number of a film are taken for right only where they give that mask again, pixel for pixel.
"""

import cv2
import numpy as np
import numpy.typing as npt

from lucency import images
from lucency.datasets import phantom
from lucency.preprocess import Preprocess
from lucency.seed import derive, generator

Mask = npt.NDArray[np.bool_]
# More films of one patient are drawn only where somebody asks for them.
_MOST_FILMS = 12


def opacity(mask_png: bytes) -> Mask:
    """The stored mask of one film, h x w."""
    return np.asarray(images.decode(mask_png)[:, :, 0] > 127)


def lungs(opacity_hw: Mask, patient: str, *, seed: int) -> Mask | None:
    """
    Both lungs of a drawn film, h x w; None where this seed does not give its opacities.

    Args:
        patient: As the table names it, ``P0007``.
        seed: Of the drawn set.
    """
    if not patient.removeprefix("P").isdecimal():
        return None
    drawn = derive(seed, "patient", int(patient.removeprefix("P")) - 1)
    size = len(opacity_hw)
    thorax = phantom.Thorax(drawn, size)
    added = thorax.opacities()
    for film in range(1, _MOST_FILMS + 1):
        pose = phantom._pose(generator(drawn, "film", film), size)
        visible = phantom._warp(added, pose, cv2.BORDER_CONSTANT) > phantom.VISIBLE_DENSITY
        if np.array_equal(visible, opacity_hw):
            both = thorax.lungs[0] + thorax.lungs[1]
            return np.asarray(phantom._warp(both, pose, cv2.BORDER_CONSTANT) > 0.5)
    return None


def at_input(mask_hw: Mask, preprocess: Preprocess) -> Mask:
    """A mask as the network's input has the film, size x size."""
    gray = mask_hw.astype(np.uint8)[:, :, None] * 255
    return np.asarray(preprocess.resize(gray)[:, :, 0] > 127)


def pointing(maps_nhw: np.ndarray, masks_nhw: Mask) -> Mask:
    """
    Whether the strongest pixel of each map lies in its target, n (Zhang et al., 2018,
    https://arxiv.org/abs/1608.00507, without their margin of 15 px). No heat points nowhere.
    """
    flat, inside = (each.reshape(len(each), -1) for each in (maps_nhw, masks_nhw))
    strongest = flat.argmax(axis=1)
    rows = np.arange(len(flat))
    return np.asarray(inside[rows, strongest] & (flat[rows, strongest] > 0))


def heat_inside(maps_nhw: np.ndarray, masks_nhw: Mask) -> np.ndarray:
    """Share of each map's positive heat inside its target, n; 0 of a map without any."""
    heat = np.clip(maps_nhw, 0, None).astype(np.float64)
    whole = heat.sum(axis=(1, 2))
    return np.asarray((heat * masks_nhw).sum(axis=(1, 2)) / np.where(whole > 0, whole, 1))
