"""
The order of an epoch: which films make up each batch, on any number of workers.

Pure: labels, patients and row groups in, places out. A place is a film's index in its split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from lucency import files, seed
from lucency.errors import TrainingError
from lucency.training import apart

Sampling = Literal["shuffle", "stratified", "weighted"]


@dataclass(frozen=True)
class Split:
    """
    What an order has to know of a split, one entry a film.

    Attributes:
        labels: Whole numbers.
        patients: Whole numbers; films of one patient have the same.
        groups: The row group of the table that holds the film.
    """

    labels: np.ndarray
    patients: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class EpochOrder:
    """
    The global batches of one epoch.

    Row groups are permuted and cut into windows of about ``window`` films; inside of a window
    films stand in free order, so a reader needs the row groups of one window at a time. Two films
    of one patient do not meet in a batch where that can be avoided: a patient's films are spread
    evenly over the window, and what still meets changes places.

    The rest that fills no batch is left out of this epoch; another epoch leaves out others. A set
    smaller than a batch is repeated to fill it.

    Args:
        sampling: ``shuffle`` is a permutation. ``stratified`` gives each batch the window's share
            of every class; a set of one window, or with its rows in random order, has the same
            shares in each window. ``weighted`` draws with replacement, every class as often.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        sampling: Sampling,
        window: int,
        seed_number: int,
        epoch: int,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.sampling = sampling
        self.window = window
        self.seed_number = seed_number
        self.epoch = epoch
        self.steps = max(1, len(split) // batch_size)

    def batches(self, start_step: int = 0, *, rank: int = 0, world: int = 1) -> list[np.ndarray]:
        """
        The places of each batch from ``start_step`` on, as far as one rank takes part in it.

        All ranks together have the batch that a single one would have. Of a stratified batch
        each rank has its share of every class.
        """
        return list(self._global[start_step:, rank::world])

    def position(self, step: int = 0) -> dict[str, int | str]:
        """Where in this order a checkpoint stands; plain values."""
        return {"epoch": self.epoch, "step": step, "digest": self.digest}

    def start(self, position: Mapping[str, int | str]) -> int:
        """
        The step to go on from after a checkpoint at ``position``; 0 in any later epoch.

        Raises:
            TrainingError: the checkpoint belongs to another order.
        """
        if not position:
            return 0
        if position["digest"] != self.digest:
            raise TrainingError(
                f"the checkpoint was made in order {str(position['digest'])[:12]!r}, this run has "
                f"order {self.digest[:12]!r}: films, batch_size, sampling, shuffle_window or seed "
                "have changed since; train anew with fresh=true"
            )
        return int(position["step"]) if position["epoch"] == self.epoch else 0

    @cached_property
    def digest(self) -> str:
        """Of all that the orders of a run follow from; the epoch is left out."""
        columns = (self.split.labels, self.split.patients, self.split.groups)
        return files.digest(
            [
                *(files.sha256(column.astype("<i8").tobytes()) for column in columns),
                self.batch_size,
                self.sampling,
                self.window,
                self.seed_number,
            ]
        )

    @cached_property
    def _global(self) -> np.ndarray:
        rng = seed.generator(self.seed_number, "order", self.epoch)
        parts = [self._arranged(places, rng) for places in self._windows(rng)]
        lengths = [len(part) for part in parts]
        length = self.steps * self.batch_size
        places = np.resize(np.concatenate(parts), length)
        window = np.resize(np.repeat(np.arange(len(parts)), lengths), length)
        # A film may only change places with one of its window, and of its class where that counts.
        kind = window * (1 + self.split.labels.max())
        if self.sampling == "stratified":
            kind = kind + self.split.labels[places]
        if len(self.split) >= self.batch_size:
            places = apart.exchanged(places, self.split.patients, kind, self.batch_size, rng)
        batches = places.reshape(self.steps, self.batch_size)
        if self.sampling == "stratified":
            # Dealt by class: every other film of alternating classes would be one class alone.
            by_class = np.argsort(self.split.labels[batches], axis=1, kind="stable")
            batches = np.take_along_axis(batches, by_class, axis=1)
        return batches

    def _windows(self, rng: np.random.Generator) -> list[np.ndarray]:
        groups, group, sizes = np.unique(self.split.groups, return_inverse=True, return_counts=True)
        count = max(1, round(len(self.split) / self.window))
        shuffled = rng.permutation(len(groups))
        before = np.cumsum(sizes[shuffled]) - sizes[shuffled]
        window = np.empty(len(groups), dtype=np.int64)
        window[shuffled] = before * count // len(self.split)
        found = [np.flatnonzero(window[group] == number) for number in range(count)]
        return [places for places in found if places.size]

    def _arranged(self, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        labels = self.split.labels[places]
        if self.sampling == "weighted":
            places = _drawn(places, labels, rng)
        spread = places[np.argsort(apart.evenly(self.split.patients[places], rng), kind="stable")]
        if self.sampling != "stratified":
            return spread
        labels = self.split.labels[spread]
        by_class = np.argsort(labels, kind="stable")
        counts = np.bincount(labels)
        rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
        # Webster's apportionment: ordered so, every beginning of the sequence, and so every
        # batch, has its share of each class, and what one batch has too little the next makes up.
        due = (rank + 0.5) / counts[labels[by_class]]
        return spread[by_class[np.lexsort((rng.random(len(due)), due))]]


def shard(films: int, batch_size: int, *, rank: int, world: int) -> list[np.ndarray]:
    """The batches of one rank for measuring: every film of the split on exactly one rank."""
    places = np.arange(rank, films, world)
    return [places[start : start + batch_size] for start in range(0, len(places), batch_size)]


def merge(parts: Sequence[tuple[np.ndarray, np.ndarray]], films: int) -> np.ndarray:
    """
    Logits of all ranks in the order of the split.

    Args:
        parts: For each rank the places it measured and their logits.
        films: How many there must be.
    """
    places = np.concatenate([place for place, _ in parts])
    measured = np.concatenate([values for _, values in parts])
    assert np.array_equal(np.sort(places), np.arange(films)), "each film is measured exactly once"
    logits = np.full((films, *measured.shape[1:]), np.nan, dtype=np.float64)
    logits[places] = measured
    return logits


def _drawn(places: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many films as there are, with replacement, each class as likely as any other."""
    present, of_class = np.unique(labels, return_inverse=True)
    counts = np.bincount(of_class)
    by_class = np.argsort(of_class, kind="stable")
    chosen = rng.integers(len(present), size=len(places))
    within = (rng.random(len(places)) * counts[chosen]).astype(np.int64)
    drawn: np.ndarray = places[by_class[(np.cumsum(counts) - counts)[chosen] + within]]
    return drawn
