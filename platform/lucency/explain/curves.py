"""
Deletion and insertion: what becomes of the answer as the pixels of most heat go or come first.

Petsiuk, Das and Saenko, 2018, https://arxiv.org/abs/1806.07421. A good map takes the answer away
early (small area under the deletion curve) and brings it back early (large area under insertion).
The paper deletes to mean gray and inserts into a blurred picture. On a chest film gray looks like
an opacity and blur leaves it there, so the background is the one of three in which the network
finds least of the class. An area means nothing alone: it stands beside that of a chance order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from lucency import seed
from lucency.explain.methods import Grain, Maps

SHARES = np.linspace(0, 1, 21)
# The paper's blur, 5 px on inputs of 224 px.
_BLUR = 5 / 224


@dataclass(frozen=True)
class Curves:
    """Probability of the explained class by share of pixels, n x s, and the areas under it, n."""

    deletion_ns: np.ndarray
    insertion_ns: np.ndarray

    @classmethod
    def joined(cls, parts: "Sequence[Curves]") -> "Curves":
        """Those of several batches together."""
        return cls(
            np.concatenate([part.deletion_ns for part in parts]),
            np.concatenate([part.insertion_ns for part in parts]),
        )

    @classmethod
    def none(cls) -> "Curves":
        """Those of no film."""
        return cls(np.empty((0, len(SHARES))), np.empty((0, len(SHARES))))

    @property
    def deletion_n(self) -> np.ndarray:
        """Area under each deletion curve, 0 to 1."""
        return area(self.deletion_ns)

    @property
    def insertion_n(self) -> np.ndarray:
        """Area under each insertion curve, 0 to 1."""
        return area(self.insertion_ns)


def curves(
    answer: Callable[[Tensor], Tensor],
    images_nchw: Tensor,
    backgrounds_nchw: Tensor,
    maps_nhw: Maps,
    *,
    seed_number: int,
) -> Curves:
    """
    Both curves of one batch; all its films take each step together.

    Args:
        answer: Images to the probability of the class that is explained, n.
        backgrounds_nchw: What is there where a film's pixels are not.
    """
    ranks = torch.from_numpy(ranked(maps_nhw, seed_number))[:, None]
    removed = _stepped(answer, images_nchw, backgrounds_nchw, ranks)
    returned = _stepped(answer, backgrounds_nchw, images_nchw, ranks)
    return Curves(removed, returned)


def backgrounds(images_nchw: Tensor, black_c: Tensor) -> dict[str, Tensor]:
    """What may stand in place of films, by name, each n x c x h x w."""
    return {
        "black": black_c[None, :, None, None].expand_as(images_nchw),
        # Zero is the mean gray of normalised films.
        "gray": torch.zeros_like(images_nchw),
        "blurred": blurred(images_nchw),
    }


def ranked(maps_nhw: Maps, seed_number: int) -> np.ndarray:
    """
    Place of each pixel in the order of falling heat, 0 to 1.

    Equal ones fall in chance order: that of the rows would favour the top of the film.
    """
    n, height, width = maps_nhw.shape
    rng = seed.generator(seed_number, "ties")
    places = np.empty((n, height * width), np.float32)
    for place, heat in zip(places, maps_nhw.reshape(n, -1), strict=True):
        order = np.lexsort((rng.random(heat.size), -heat))
        place[order] = np.arange(heat.size) / heat.size
    return places.reshape(n, height, width)


def by_chance(
    grain: Grain, shape: tuple[int, int, int], map_size: tuple[int, int], rng: np.random.Generator
) -> Maps:
    """
    Maps that know nothing, n x h x w: every pixel by itself, or as patches of the feature map.

    Pixels taken one by one here and there ruin a film's texture at once; a method that ranks
    patches is compared with patches.
    """
    n, height, width = shape
    if grain == "pixels":
        return rng.random(shape, np.float32)
    coarse = rng.random((n, *map_size), np.float32)
    enlarged = [
        cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in coarse
    ]
    return np.stack(enlarged).astype(np.float32)


def blurred(images_nchw: Tensor) -> Tensor:
    """Films without their detail."""
    sigma = _BLUR * images_nchw.shape[-1]
    films = [
        np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in film])
        for film in images_nchw.detach().numpy()
    ]
    return torch.from_numpy(np.stack(films))


def area(curves_ns: np.ndarray) -> np.ndarray:
    """Area under each curve, n."""
    return np.asarray(np.trapezoid(curves_ns, SHARES, axis=1))


@torch.no_grad()
def _stepped(
    answer: Callable[[Tensor], Tensor], before: Tensor, after: Tensor, ranks_n1hw: Tensor
) -> np.ndarray:
    steps = [answer(torch.where(ranks_n1hw < float(share), after, before)) for share in SHARES]
    return np.asarray(torch.stack(steps, dim=1).numpy(), np.float64)
