"""
What films and scores looked like at validation, and how far a window of new ones is from it.

A feature's reference is its histogram over bins of equal mass; the distance is the population
stability index (Siddiqi, 2006), a symmetrised Kullback-Leibler divergence in nats.
"""

import threading
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

FEATURES = ("probability", "brightness", "contrast", "sharpness")
BINS = 10
# Under this many films a window's index is mostly noise: its expectation without any drift
# is (bins - 1) / films.
LEAST_FILMS = 100
# A bin that was never filled would make the index infinite.
_LEAST_SHARE = 1e-3


class FeatureReference(BaseModel):
    """
    One feature's histogram.

    Attributes:
        edges: Inner edges of the bins, ascending; outer bins are open.
        shares: Share of the reference films in each bin, one more than edges.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[float, ...]
    shares: Annotated[tuple[float, ...], Field(min_length=1)]


class DriftReference(BaseModel):
    """The histograms of all features, and how many films they are made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    films: int
    features: dict[str, FeatureReference]


def describe(input_chw: np.ndarray) -> dict[str, float]:
    """
    What a film looks like, without its meaning, from the network's input.

    Returns:
        ``brightness`` (mean), ``contrast`` (deviation) and ``sharpness`` (mean absolute step
        between neighbours), all in units of the input.
    """
    plane = input_chw.mean(axis=0)
    return {
        "brightness": float(plane.mean()),
        "contrast": float(plane.std()),
        "sharpness": float(np.abs(np.diff(plane, axis=1)).mean()),
    }


def fit(values: Mapping[str, np.ndarray]) -> DriftReference:
    """A reference from the features of validation films, each with n entries."""
    features = {}
    for name, values_n in values.items():
        inner = np.quantile(values_n, np.linspace(0, 1, BINS + 1)[1:-1])
        edges = np.unique(inner)
        features[name] = FeatureReference(
            edges=tuple(float(edge) for edge in edges),
            shares=tuple(float(share) for share in _shares(edges, values_n)),
        )
    return DriftReference(films=len(next(iter(values.values()))), features=features)


def stability_index(reference: FeatureReference, counts_b: np.ndarray) -> float:
    """Population stability index of a window's counts against the reference; 0 is no change."""
    expected = np.maximum(reference.shares, _LEAST_SHARE)
    found = np.maximum(counts_b / max(1, counts_b.sum()), _LEAST_SHARE)
    return float(((found - expected) * np.log(found / expected)).sum())


class Window:
    """
    The last films of one replica in bins; safe to use from several threads.

    Args:
        size: Films after which the oldest leave.
    """

    def __init__(self, reference: DriftReference, size: int = 500) -> None:
        self._reference = reference
        self._ring = {name: np.full(size, -1) for name in reference.features}
        self._size = size
        self._seen = 0
        self._lock = threading.Lock()

    def add(self, values: Mapping[str, float]) -> None:
        """Take in one film; all features of the reference must be there."""
        with self._lock:
            slot = self._seen % self._size
            for name, feature in self._reference.features.items():
                self._ring[name][slot] = np.searchsorted(feature.edges, values[name])
            self._seen += 1

    @property
    def films(self) -> int:
        """In the window now."""
        return min(self._seen, self._size)

    def indices(self) -> dict[str, float]:
        """Stability index by feature; empty until the window says something."""
        with self._lock:
            if self.films < LEAST_FILMS:
                return {}
            return {
                name: stability_index(
                    feature,
                    np.bincount(
                        self._ring[name][: self.films], minlength=len(feature.shares)
                    ).astype(float),
                )
                for name, feature in self._reference.features.items()
            }


def _shares(edges: np.ndarray, values_n: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.searchsorted(edges, values_n), minlength=len(edges) + 1)
    shares: np.ndarray = counts / counts.sum()
    return shares
