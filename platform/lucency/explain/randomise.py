"""
Does a map depend on what was learnt? Layers lose their weights from the head down.

Adebayo, Gilmer, Muelly, Goodfellow, Hardt and Kim, 2018, https://arxiv.org/abs/1810.03292: a
method whose maps stay the same draws the film, not the network's reasons.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from lucency import seed
from lucency.explain.methods import Maps
from lucency.explain.network import Network
from lucency.models.base import Classifier

# At a rank correlation of 0.5 a quarter of a map's variance (0.5 squared) comes without any
# learnt weight; maps of chance patches stay well below.
LIMIT = 0.5
STEPS = 5


def cascade(network: Network, *, seed_number: int, steps: int = STEPS) -> Iterator[Network]:
    """
    One network a step, each with more layers as an untrained network has them.

    The head first, then the trunk from its end in equal parts; after the last step nothing that
    was learnt is left. The same network is given every time: use it before the next step.
    """
    ruined = network.copy()
    for number, part in enumerate(parts(ruined.model, steps)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed.derive(seed_number, "randomise", number))
            for module in part:
                _forget(module)
        yield ruined


def names(model: Classifier, steps: int = STEPS) -> list[str]:
    """What each step of the cascade reaches down to."""
    paths = {module: name for name, module in model.named_modules()}
    return [paths[part[-1]] for part in parts(model, steps)]


def parts(model: Classifier, steps: int = STEPS) -> list[list[nn.Module]]:
    """Layers with weights of their own by step, each from the end of the network."""
    head, trunk = (
        [each for each in reversed(list(half.modules())) if list(each.parameters(recurse=False))]
        for half in (model.head, model.features)
    )
    edges = np.linspace(0, len(trunk), min(steps - 1, len(trunk)) + 1).round().astype(int)
    cut = [trunk[low:high] for low, high in pairwise(edges)]
    return [part for part in (head, *cut) if part]


def alike(one_nhw: Maps, other_nhw: Maps) -> np.ndarray:
    """
    How much of each map's ranking is found in the other, n, 0 to 1: Spearman's correlation.

    Its sign is left out, since a map turned upside down draws the same picture, and of the
    maps as they are and of their magnitudes the greater one counts: both can be looked at. A
    map of one value ranks nothing, so nothing of it can have stayed.
    """
    pairs = zip(one_nhw, other_nhw, strict=True)
    return np.array([max(_rank(a, b), _rank(np.abs(a), np.abs(b))) for a, b in pairs])


def _rank(one_hw: np.ndarray, other_hw: np.ndarray) -> float:
    if np.ptp(one_hw) == 0 or np.ptp(other_hw) == 0:
        return 0.0
    return abs(float(spearmanr(one_hw, other_hw, axis=None).statistic))


@torch.no_grad()
def _forget(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    # A bare parameter, such as a layer's scale, has no start of its own.
    for parameter in module.parameters(recurse=False):
        parameter.normal_(std=0.02)
