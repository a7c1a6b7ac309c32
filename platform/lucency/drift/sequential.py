"""
When did the films change? A test that may be looked at after every film, for ever.

Each value gets a p-value among the reference and all films since: as long as they are
exchangeable these are independent and uniform, whatever the feature's distribution and however
few the reference films. The edges of the bins are order statistics of n reference films, so the
masses of the bins have a Dirichlet law with their gaps of rank as parameters (Wilks, 1962), and
the next bin is a draw from Polya's urn, filled with these gaps: Rosenblatt's transform.

Bets on the p-values are summed as Shiryaev and Roberts do, R = (1 + R) f(p). With the mean of f
being 1, R minus the number of films is a martingale, so the expected time until R reaches A is
at least A films, and P(alarm within t films) <= t / A (Vovk, 2021, "Testing randomness online",
https://doi.org/10.1214/20-STS817). With A = K times the stated films for each of K features,
all together raise a false alarm within t films with probability t / stated films at most. That
holds for each replica and each group of films by itself, and, being a rate by film, for their
sum: more replicas don't make more false alarms.

The films must come in no order: several of one patient in a row are alike, and count as change.
"""

from bisect import bisect_left
from collections.abc import Mapping

import numpy as np

from lucency.drift.reference import DriftReference, FeatureReference, ranks

# One false alarm in so many films, all features together.
FILMS_TO_FALSE_ALARM = 100_000
_BINS = 32
# How much is bet: a weak bet finds a small shift, a strong one a large shift at once.
_STAKES = np.array([0.4, 0.9])
# An alarm that lasted must be able to end: more than this many limits are not remembered.
_MOST = 10.0


class Sequential:
    """
    One test of each feature; not safe to use from several threads.

    Args:
        films_to_false_alarm: Expected at least, all features together.
        rng: Breaks ties within a bin.
    """

    def __init__(
        self,
        reference: DriftReference,
        *,
        films_to_false_alarm: int = FILMS_TO_FALSE_ALARM,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.limit = float(films_to_false_alarm * len(reference.features))
        self._rng = rng or np.random.default_rng()
        self._names = tuple(reference.features)
        self._urns = [Urn(feature, reference.films) for feature in reference.features.values()]
        self._sums_kj = np.zeros((len(self._names), 4 * len(_STAKES)))
        self._levels = dict.fromkeys(self._names, 0.0)

    def add(self, values: Mapping[str, float]) -> dict[str, float]:
        """Take in one film; gives the levels with it."""
        breaks = self._rng.random(len(self._names)).tolist()
        p_values = []
        for name, urn, tie_break in zip(self._names, self._urns, breaks, strict=True):
            place = urn.place(values[name])
            p_values.append(urn.p_value(place, tie_break))
            # What is known to be different does not become the new normal.
            if self._levels[name] < 1:
                urn.add(place)
        grown_kj = (1 + self._sums_kj) * _bets(np.array(p_values))
        bets = grown_kj.shape[1]
        self._sums_kj = np.minimum(grown_kj, _MOST * self.limit * bets)
        levels_k = self._sums_kj.sum(axis=1) / (bets * self.limit)
        self._levels = dict(zip(self._names, levels_k.tolist(), strict=True))
        return self.levels()

    def levels(self) -> dict[str, float]:
        """Of each feature, the evidence of a change as a share of what raises the alarm."""
        return dict(self._levels)


class Urn:
    """
    Polya's urn over bins between order statistics of the reference.

    Plain lists: with some thirty bins, an array would cost more to call than to add up.
    """

    def __init__(self, feature: FeatureReference, films: int) -> None:
        values = np.array(feature.values)
        chosen = np.unique(np.linspace(0, len(values) - 1, min(_BINS, len(values)) + 1)[1:-1])
        places = chosen.astype(int)
        edges, first = np.unique(values[places], return_index=True)
        at_or_under = ranks(feature, films)[places][first]
        self.edges: list[float] = edges.tolist()
        # One more than the films: n values part the line into n + 1 gaps of equal mean mass.
        self.counts: list[int] = np.diff(np.concatenate([[0], at_or_under, [films + 1]])).tolist()

    def place(self, value: float) -> int:
        """The bin of a value."""
        return bisect_left(self.edges, value)

    def add(self, place: int) -> None:
        """One more film in a bin."""
        self.counts[place] += 1

    def p_value(self, place: int, tie_break: float) -> float:
        """Mass of what is greater, and of the same bin a share drawn in 0..1."""
        counts = self.counts
        return (sum(counts[place + 1 :]) + tie_break * counts[place]) / sum(counts)


def _bets(p_k: np.ndarray) -> np.ndarray:
    """Factors with mean 1 for uniform p: on more, on less, on spread, on crowding."""
    shift_k = 1 - 2 * p_k
    spread_k = 6 * p_k**2 - 6 * p_k + 1
    sides_k4 = np.stack([shift_k, -shift_k, spread_k, -spread_k], axis=1)
    factors: np.ndarray = 1 + (sides_k4[:, :, None] * _STAKES).reshape(len(p_k), 4 * len(_STAKES))
    return factors
