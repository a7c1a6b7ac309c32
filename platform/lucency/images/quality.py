"""
What can be said of a film's pixels without a model: nothing on it, or a negative of its kind.

Preparation sets such films aside and serving warns of them, by the same measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

# A film whose gray values all lie this close together shows nothing (8-bit levels).
_BLANK_DEVIATION = 2.0
# Films are held against the mean of their set at this size. Films of one kind agree with it to
# 0.6 (digits) or 0.9 (chests) in the median, photographs of ten kinds of things to 0.15. The
# least alike of 5,856 chest films agrees to +0.24, and 99.7 % of their negatives to under -0.3.
_THUMBNAIL = 16
_ALIKE = 0.5
NEGATIVE = -0.3


def is_blank(image: np.ndarray) -> bool:
    """Whether all pixels, uint8 h x w x c, have nearly the same value."""
    _, deviation = cv2.meanStdDev(image)
    return float(deviation.max()) < _BLANK_DEVIATION


def thumbnail(image: np.ndarray) -> np.ndarray:
    """A film, uint8 h x w x c, as 16 x 16 grays."""
    small = cv2.resize(image, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small


@dataclass(frozen=True)
class Kind:
    """
    What films of one kind have in common.

    Attributes:
        mean_d: Their mean picture, of length 1.
        median: How much they agree with it themselves.
    """

    mean_d: np.ndarray
    median: float

    @classmethod
    def of(cls, thumbnails: Sequence[np.ndarray] | np.ndarray) -> "Kind | None":
        """The kind of some films; None where they are of no one kind."""
        if not len(thumbnails):
            return None
        planes_nd = np.stack([_centred(each) for each in thumbnails])
        mean_d = planes_nd.mean(0)
        mean_d /= max(float(np.linalg.norm(mean_d)), 1e-6)
        median = float(np.median(planes_nd @ mean_d))
        return cls(mean_d, median) if median >= _ALIKE else None

    def agreement(self, small: np.ndarray) -> float:
        """How much a thumbnail is like the kind: 1 the same picture, -1 its negative."""
        return float(_centred(small) @ self.mean_d)


def _centred(small: np.ndarray) -> np.ndarray:
    plane = small.ravel().astype(np.float32)
    plane -= plane.mean()
    return plane / max(float(np.linalg.norm(plane)), 1e-6)
