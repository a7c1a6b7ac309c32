"""
What films and scores looked like at validation; it travels in the bundle.

Three streams are watched: input quality (brightness, contrast, sharpness), an embedding (a
thumbnail: what stands where on a film, without a network) and the prediction (probability).
"""

from collections.abc import Mapping
from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lucency.drift import kernel
from lucency.seed import generator

# The thumbnail has this many cells a side.
_SIDE = 4
CELLS = tuple(f"cell_{number:02}" for number in range(_SIDE**2))
# What comes with every prediction, and what is watched of it.
FEATURES = ("probability", "brightness", "contrast", "sharpness", *CELLS)
STREAMS = {
    "probability": "prediction",
    "brightness": "quality",
    "contrast": "quality",
    "sharpness": "quality",
    "thumbnail": "embedding",
}
BINS = 10
# Order statistics kept of each feature, and thumbnails: enough for tests, a small file.
_MOST_VALUES = 512
_MOST_THUMBNAILS = 256
# Films among which the null distribution of a window's distance is drawn.
_MOST_DRAWN = 1024


class FeatureReference(BaseModel):
    """
    One feature of the reference films.

    Attributes:
        edges: Inner edges of bins of equal mass, ascending; outer bins are open.
        shares: Share of the reference films in each bin, one more than edges.
        values: All values in ascending order; of many films order statistics at even ranks,
            the least and the greatest among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[float, ...]
    shares: Annotated[tuple[float, ...], Field(min_length=1)]
    values: Annotated[tuple[float, ...], Field(min_length=1)]


class ThumbnailReference(BaseModel):
    """
    Thumbnails of reference films, and how far windows of such films are from them.

    Attributes:
        films: m thumbnails of d cells.
        bandwidth: Of the Gaussian kernel: the median distance between two films.
        limits: By films in a window, the squared maximum mean discrepancy that one window in a
            thousand of unchanged films exceeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    films: tuple[tuple[float, ...], ...]
    bandwidth: Annotated[float, Field(gt=0)]
    limits: dict[int, float]


class DriftReference(BaseModel):
    """All features by name, how many films they are made of, and the thumbnails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    films: int
    features: dict[str, FeatureReference]
    thumbnails: ThumbnailReference | None = None


def describe(input_chw: np.ndarray) -> dict[str, float]:
    """
    What a film looks like, without its meaning, from the network's input.

    Returns:
        ``brightness`` (mean), ``contrast`` (deviation), ``sharpness`` (mean absolute step between
        neighbours) and ``cell_..``, the means of 4 x 4 equal parts of the film row by row: all in
        units of the input.
    """
    plane = input_chw[0] if len(input_chw) == 1 else input_chw.mean(axis=0)
    mean, deviation = cv2.meanStdDev(plane)
    steps = cv2.norm(plane[:, 1:], plane[:, :-1], cv2.NORM_L1)
    cells = cv2.resize(plane, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return {
        "brightness": float(mean[0, 0]),
        "contrast": float(deviation[0, 0]),
        "sharpness": steps / (plane.shape[0] * (plane.shape[1] - 1)),
        **dict(zip(CELLS, cells.ravel().tolist(), strict=True)),
    }


def fit(values: Mapping[str, np.ndarray]) -> DriftReference:
    """A reference from the features of validation films, each with n entries."""
    films = len(next(iter(values.values())))
    watched = {name: values_n for name, values_n in values.items() if name not in CELLS}
    thumbnails = None
    if set(CELLS) <= set(values):
        thumbnails, near_n = _fit_thumbnails(np.stack([values[cell] for cell in CELLS], axis=1))
        watched["thumbnail"] = near_n
    return DriftReference(
        films=films,
        features={name: _fit_feature(values_n) for name, values_n in watched.items()},
        thumbnails=thumbnails,
    )


def ranks(feature: FeatureReference, films: int) -> np.ndarray:
    """How many of the reference's films are at or under each of a feature's values."""
    places_m = np.rint(np.linspace(1, films, len(feature.values))).astype(int)
    last_m = np.searchsorted(feature.values, feature.values, side="right") - 1
    at_or_under_m: np.ndarray = places_m[last_m]
    return at_or_under_m


def shares(edges: np.ndarray, values_n: np.ndarray) -> np.ndarray:
    """Share of the values in each of the bins."""
    counts = np.bincount(np.searchsorted(edges, values_n), minlength=len(edges) + 1)
    found: np.ndarray = counts / counts.sum()
    return found


def _fit_feature(values_n: np.ndarray) -> FeatureReference:
    ordered = np.sort(values_n.astype(float))
    edges = np.unique(np.quantile(ordered, np.linspace(0, 1, BINS + 1)[1:-1]))
    kept = np.rint(np.linspace(1, len(ordered), min(len(ordered), _MOST_VALUES))).astype(int) - 1
    return FeatureReference(
        edges=tuple(edges.tolist()),
        shares=tuple(shares(edges, ordered).tolist()),
        values=tuple(float(f"{value:.7g}") for value in ordered[kept]),
    )


def _fit_thumbnails(cells_nd: np.ndarray) -> tuple[ThumbnailReference, np.ndarray]:
    """The reference, and how near each film is to the others of it."""
    films = len(cells_nd)
    cells_nd = np.round(cells_nd.astype(float), 5)  # as they will be read again
    kept = _evenly(films, _MOST_THUMBNAILS)
    bandwidth = kernel.median_distance(cells_nd[kept])
    alike_nm = kernel.gaussian(cells_nd, cells_nd[kept], bandwidth)
    inside_n = np.isin(np.arange(films), kept)
    # A film is not compared with itself: a new one is not either.
    near_n = (alike_nm.sum(axis=1) - inside_n) / np.maximum(1, len(kept) - inside_n)
    drawn = _evenly(films, _MOST_DRAWN)
    limits = kernel.null_limits(
        kernel.gaussian(cells_nd[drawn], cells_nd[drawn], bandwidth),
        near_n[drawn],
        kernel.mean_of_pairs(alike_nm[kept]),
        generator(0, "drift"),
    )
    reference = ThumbnailReference(
        films=tuple(map(tuple, cells_nd[kept].tolist())), bandwidth=bandwidth, limits=limits
    )
    return reference, near_n


def _evenly(films: int, most: int) -> np.ndarray:
    places: np.ndarray = np.linspace(0, films - 1, min(films, most)).astype(int)
    return places
