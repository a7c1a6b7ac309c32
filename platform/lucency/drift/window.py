"""The last films of one stream: how far they are from the reference, and whether it changed."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lucency.drift import kernel, scores
from lucency.drift.reference import CELLS, DriftReference, ThumbnailReference
from lucency.drift.sequential import FILMS_TO_FALSE_ALARM, Sequential

# Under this many films a window's distances are mostly noise.
LEAST_FILMS = 100
# Thumbnails compared with one another; their number squared is what it costs.
_MOST_THUMBNAILS = 256


@dataclass(frozen=True)
class State:
    """
    What a stream's last films say.

    Attributes:
        films: In the window.
        stability_index: By feature; empty, as the other distances, under LEAST_FILMS films.
        ks_distance: Kolmogorov-Smirnov by feature, over what one window in a thousand exceeds
            without change.
        discrepancy: Of the thumbnails, over the same; None without thumbnails.
        levels: Sequential test by feature; 1 and over is an alarm.
        films_since_alarm: By feature, since the alarm was last on, or since the start.
    """

    films: int
    stability_index: dict[str, float]
    ks_distance: dict[str, float]
    discrepancy: float | None
    levels: dict[str, float]
    films_since_alarm: dict[str, int]


class Window:
    """
    The last films of one stream in one replica; safe to use from several threads.

    Args:
        size: Films after which the oldest leave the distances; the sequential test forgets none.
    """

    def __init__(
        self,
        reference: DriftReference,
        size: int = 500,
        *,
        films_to_false_alarm: int = FILMS_TO_FALSE_ALARM,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._reference = reference
        self._ordered = {
            name: np.array(feature.values) for name, feature in reference.features.items()
        }
        self._ring = {name: np.zeros(size) for name in reference.features}
        self._size = size
        self._seen = 0
        self._thumbnails = (
            _Thumbnails(reference.thumbnails, min(size, _MOST_THUMBNAILS))
            if reference.thumbnails
            else None
        )
        self._sequential = Sequential(reference, films_to_false_alarm=films_to_false_alarm, rng=rng)
        self._levels = self._sequential.levels()
        self._alarmed = dict.fromkeys(reference.features, 0)
        self._lock = threading.Lock()

    def add(self, values: Mapping[str, float]) -> tuple[str, ...]:
        """
        Take in one film; all features of the reference must be there.

        Returns:
            Features whose alarm this film raised.
        """
        with self._lock:
            if self._thumbnails is not None:
                values = {**values, "thumbnail": self._thumbnails.add(values)}
            slot = self._seen % self._size
            for name, ring in self._ring.items():
                ring[slot] = values[name]
            before, self._levels = self._levels, self._sequential.add(values)
            self._seen += 1
            alarmed = [name for name, level in self._levels.items() if level >= 1]
            self._alarmed |= dict.fromkeys(alarmed, self._seen)
            return tuple(name for name in alarmed if before[name] < 1)

    @property
    def in_alarm(self) -> bool:
        """Whether the test of any feature is in alarm."""
        with self._lock:
            return any(level >= 1 for level in self._levels.values())

    @property
    def films(self) -> int:
        """In the window now."""
        return min(self._seen, self._size)

    def state(self) -> State:
        """Distances and tests as they stand."""
        with self._lock:
            told = self.films >= LEAST_FILMS
            features = self._reference.features if told else {}
            return State(
                films=self.films,
                stability_index={name: self._index(name) for name in features},
                ks_distance={name: self._distance(name) for name in features},
                discrepancy=self._thumbnails.ratio() if told and self._thumbnails else None,
                levels=dict(self._levels),
                films_since_alarm={name: self._seen - at for name, at in self._alarmed.items()},
            )

    def _index(self, name: str) -> float:
        feature = self._reference.features[name]
        places = np.searchsorted(feature.edges, self._ring[name][: self.films])
        counts = np.bincount(places, minlength=len(feature.shares))
        return scores.stability_index(feature, counts)

    def _distance(self, name: str) -> float:
        limit = scores.ks_limit(self._reference.films, self.films)
        return scores.ks_distance(self._ordered[name], self._ring[name][: self.films]) / limit


class _Thumbnails:
    """
    Kernel of the last thumbnails with one another and with the reference.

    A film is compared with the reference at once. With the window's other films it is when the
    window is asked for: many films in one product cost little more than one.
    """

    def __init__(self, reference: ThumbnailReference, size: int) -> None:
        self._films_md = np.array(reference.films)
        self._halves_m = (self._films_md**2).sum(axis=1) / 2
        self._bandwidth = reference.bandwidth
        self._limits = reference.limits
        self._within = kernel.mean_of_pairs(
            kernel.gaussian(self._films_md, self._films_md, self._bandwidth)
        )
        self._ring_nd = np.zeros((size, self._films_md.shape[1]))
        self._near_n = np.zeros(size)
        self._alike_nn = np.zeros((size, size))
        self._seen = 0
        self._compared = 0

    def add(self, values: Mapping[str, float]) -> float:
        """How near a film's thumbnail is to the reference, 0..1."""
        cells_d = np.array([values[cell] for cell in CELLS])
        slot = self._seen % len(self._ring_nd)
        self._ring_nd[slot] = cells_d
        self._near_n[slot] = near = self._near(cells_d)
        self._seen += 1
        return near

    def ratio(self) -> float:
        """Discrepancy over the limit for as many films."""
        self._compare()
        films = min(self._seen, len(self._ring_nd))
        found = kernel.discrepancy(
            kernel.mean_of_pairs(self._alike_nn[:films, :films]),
            float(self._near_n[:films].mean()),
            self._within,
        )
        sizes = sorted(self._limits)
        return found / float(np.interp(films, sizes, [self._limits[size] for size in sizes]))

    def _near(self, cells_d: np.ndarray) -> float:
        """``kernel.gaussian`` of one film, with the reference's share of it worked out before."""
        exponents_m = self._films_md @ cells_d
        exponents_m -= self._halves_m
        exponents_m -= float(cells_d @ cells_d) / 2
        exponents_m /= self._bandwidth**2
        np.minimum(exponents_m, 0.0, out=exponents_m)
        return float(np.exp(exponents_m, out=exponents_m).sum()) / len(exponents_m)

    def _compare(self) -> None:
        """Bring the films' kernel with one another up to date."""
        size = len(self._ring_nd)
        new = np.arange(max(self._compared, self._seen - size), self._seen) % size
        alike_kn = kernel.gaussian(self._ring_nd[new], self._ring_nd, self._bandwidth)
        self._alike_nn[new] = alike_kn
        self._alike_nn[:, new] = alike_kn.T
        self._compared = self._seen
