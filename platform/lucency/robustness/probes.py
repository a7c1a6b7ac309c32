"""
Shortcut probes: films without what a reader would look at, that a model should not tell apart.

A model that answers from the border of a film has learnt where it was taken (Maguolo and Nanni,
2021, https://doi.org/10.1016/j.inffus.2021.04.008). That it can't is no proof of the opposite:
it never met films like these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BORDER = 0.1  # share of each side that the border ring is wide
CENTRE = 2 / 3  # share of each side that is blanked where the lungs lie
_GRAY = 128


@dataclass(frozen=True)
class Probe:
    """What is left of a film, and what a model that tells classes apart by it relies on."""

    leave: Callable[[np.ndarray], np.ndarray]
    shows: str
    relies_on: str


def border_only(film_hwc: np.ndarray) -> np.ndarray:
    """The outer tenth at each side; the rest is the film's mean gray."""
    return _blanked(film_hwc, 1 - 2 * BORDER)


def centre_blanked(film_hwc: np.ndarray) -> np.ndarray:
    """The middle two thirds of both sides, where the lungs are, in the film's mean gray."""
    return _blanked(film_hwc, CENTRE)


def size_only(film_hwc: np.ndarray) -> np.ndarray:
    """One gray, of the film's width and height."""
    return np.full_like(film_hwc, _GRAY)


PROBES: Mapping[str, Probe] = {
    "border only": Probe(
        border_only,
        "the outer tenth at each side, the rest mean gray",
        "the border of the film: collimation, markers, what was cut off",
    ),
    "centre blanked": Probe(
        centre_blanked,
        "all but the middle two thirds of both sides, where the lungs are",
        "what lies around the lungs",
    ),
    "size only": Probe(
        size_only,
        "one gray, of the film's width and height",
        "the film's size or aspect ratio, which its preprocessing lets through",
    ),
}


def is_shortcut(area: Mapping[str, float | None], bar: float) -> bool:
    """
    Whether the whole interval lies over the bar, or as far under one half: reversed tells too.

    Args:
        area: ``{value, lower, upper}`` of an AUROC; an unknown one is no shortcut.
    """
    lower, upper = area["lower"], area["upper"]
    return lower is not None and upper is not None and (lower > bar or upper < 1 - bar)


def sentence(claim: str, area: Mapping[str, float | None], bar: float, shortcut: bool) -> str:
    """What a probe found, for people."""
    if area["value"] is None:
        return "not available: it needs films of every class"
    told = f"AUROC {area['value']:.3f}"
    if area["lower"] is not None:
        told += f" ({area['lower']:.3f} to {area['upper']:.3f})"
    if shortcut:
        return f"Shortcut: {claim}, {told}; the bar is {bar:g}."
    return f"No shortcut shown: {told} is not wholly over the bar of {bar:g}."


def size_scores(
    train_sides_nx2: np.ndarray, train_labels_n: np.ndarray, sides_nx2: np.ndarray
) -> np.ndarray | None:
    """
    Scores by width, height and aspect ratio alone: what the data give away, whatever the model.

    Logistic regression, learnt from the training films.

    Returns:
        n x classes seen in training, as ``numpy.unique`` orders them; None where all training
        films have one size or one class, so that there is nothing to learn.
    """
    if len(np.unique(train_sides_nx2, axis=0)) < 2 or len(np.unique(train_labels_n)) < 2:
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(_described(train_sides_nx2), train_labels_n)
    found: np.ndarray = model.predict_proba(_described(sides_nx2))
    return found


def _described(sides_nx2: np.ndarray) -> np.ndarray:
    """Width, height and their ratio as logarithms, in which the ratio is a difference."""
    width_n, height_n = np.log(sides_nx2.astype(float)).T
    # Its square as well: films of one class may be both longer and wider than the other's.
    ratio_n = width_n - height_n
    return np.stack([width_n, height_n, ratio_n, ratio_n**2], axis=1)


def _blanked(film_hwc: np.ndarray, share: float) -> np.ndarray:
    left = film_hwc.copy()
    top, start = (round(side * (1 - share) / 2) for side in film_hwc.shape[:2])
    inside = slice(top, film_hwc.shape[0] - top), slice(start, film_hwc.shape[1] - start)
    left[inside] = np.rint(film_hwc.mean(axis=(0, 1))).astype(np.uint8)
    return left
