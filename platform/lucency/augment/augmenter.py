"""Working films -> varied inputs: one warp and one table of gray levels for each."""

import hashlib
import struct

import cv2
import numpy as np

from lucency.augment.limits import Augmentation
from lucency.augment.warp import DRAWS, Variation, draw, warp
from lucency.preprocess import Preprocess, look_up, tables

_words = struct.Struct(f"<{DRAWS}I").unpack
_HALF_RANGE = 2.0**31
_GRAY = np.arange(256, dtype=np.float64)


class Augmenter:
    """
    Applies an ``Augmentation`` to working films, by one warp and one table of gray levels.

    The same seed gives the same film, whatever came before. Safe in several threads.
    """

    def __init__(self, augmentation: Augmentation, preprocess: Preprocess) -> None:
        self.augmentation = augmentation
        self.preprocess = preprocess
        self._table = tables(preprocess.mean, preprocess.std)

    def __call__(self, working: np.ndarray, seed: int, out: np.ndarray | None = None) -> np.ndarray:
        """A working film to one input, float32 c x h x w, written to ``out`` if that is given."""
        variation = self.variation(seed)
        levels = self._table[:, _levels(variation)]
        return look_up(self._moved(working, variation), levels, out)

    def picture(self, working: np.ndarray, seed: int) -> np.ndarray:
        """The same film before normalisation, uint8 size x size x c, for people to look at."""
        variation = self.variation(seed)
        picture: np.ndarray = _levels(variation)[self._moved(working, variation)]
        return picture

    def variation(self, seed: int) -> Variation:
        """What this seed does to any film."""
        # A hash is a counter-based generator: no state to set up, or to carry from film to film.
        words = _words(hashlib.blake2b(b"%d" % seed, digest_size=4 * DRAWS).digest())
        uniform = (word / _HALF_RANGE - 1 for word in words).__next__
        return draw(self.augmentation, self.preprocess.size, uniform)

    def _moved(self, working: np.ndarray, variation: Variation) -> np.ndarray:
        warped = warp(working, variation, self.preprocess, self.augmentation.border)
        if not variation.blur_sigma:
            return warped
        blurred: np.ndarray = cv2.GaussianBlur(warped, (0, 0), variation.blur_sigma)
        return blurred.reshape(warped.shape)


def _levels(variation: Variation) -> np.ndarray:
    """What each gray level becomes, uint8, 256 of them."""
    varied = _GRAY * variation.contrast + 255 * variation.brightness
    levels: np.ndarray = np.rint(varied.clip(0, 255)).astype(np.uint8)
    return levels
