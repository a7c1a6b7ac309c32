"""
Which films a report shows: errors made with conviction teach most.

Chosen by truth and probability alone, so the choice can't flatter the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_OF_OUTCOME = 3
_PAIRS, _OF_PAIR = 8, 2


@dataclass(frozen=True)
class Chosen:
    """The place of a film among those given, and what to write below it."""

    place: int
    title: str


def of_two(labels_n: np.ndarray, probabilities_n: np.ndarray, threshold: float) -> list[Chosen]:
    """Films of each of the four outcomes, the most certain first."""
    called, positive = probabilities_n >= threshold, labels_n == 1
    outcomes = (
        ("false negative", ~called & positive, 1),
        ("false positive", called & ~positive, -1),
        ("true positive", called & positive, -1),
        ("true negative", ~called & ~positive, 1),
    )
    return [
        Chosen(int(place), f"{name}, probability {probabilities_n[place]:.3f}")
        for name, chosen, sign in outcomes
        for place in _first(chosen, sign * probabilities_n, _OF_OUTCOME)
    ]


def of_many(
    labels_n: np.ndarray, probabilities_nk: np.ndarray, labels: Sequence[str]
) -> list[Chosen]:
    """Wrong calls, the most certain of each pair of classes, the most frequent pairs first."""
    called_n, given_n = probabilities_nk.argmax(axis=1), probabilities_nk.max(axis=1)
    counts_kk = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts_kk, (labels_n, called_n), 1)
    np.fill_diagonal(counts_kk, 0)
    frequent = np.argsort(-counts_kk, axis=None, kind="stable")[:_PAIRS]
    return [
        Chosen(
            int(place),
            f"{labels[truth]} called {labels[call]}, probability {given_n[place]:.3f} "
            f"(of {labels[truth]}: {probabilities_nk[place, truth]:.3f})",
        )
        for truth, call in zip(*np.unravel_index(frequent, counts_kk.shape), strict=True)
        for place in _first((labels_n == truth) & (called_n == call), -given_n, _OF_PAIR)
        if truth != call
    ]


def _first(chosen: np.ndarray, order_n: np.ndarray, most: int) -> np.ndarray:
    places = np.flatnonzero(chosen)
    return places[np.argsort(order_n[places], kind="stable")][:most]
