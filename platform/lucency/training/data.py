"""Films to batches: the order of an epoch, decoding, augmentation."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lucency import images, seed
from lucency.augment import Augmentation, Augmenter
from lucency.datasets.table import Table
from lucency.preprocess import Preprocess

# A film of an epoch: (epoch, place in the split). The epoch seeds the augmentation.
Key = tuple[int, int]


class Films(Dataset[tuple[Tensor, Tensor, int]]):
    """
    One split in memory, still encoded; decoded when asked for.

    Augmentation is seeded by film and epoch, so a film looks the same on any worker.
    """

    def __init__(
        self,
        table: Table,
        split: str,
        preprocess: Preprocess,
        augmentation: Augmentation | None,
        seed_number: int,
    ) -> None:
        rows = table.rows(split)
        self.labels = table.columns["label"][rows].astype(np.float32)
        self._encoded = table.images(rows)
        self._preprocess = preprocess
        self._augmenter = Augmenter(augmentation) if augmentation else None
        self._seed = seed_number

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor, int]:
        """One film: input c x h x w, label, place in the split."""
        epoch, place = key
        decoded = images.decode(self._encoded[place], color=self._preprocess.color)
        resized = self._preprocess.resize(decoded)
        if self._augmenter:
            resized = self._augmenter(resized, seed.derive(self._seed, "film", epoch, place))
        return (
            torch.from_numpy(self._preprocess.normalise(resized)),
            torch.tensor(self.labels[place]),
            place,
        )


class EpochOrder(Sampler[list[Key]]):
    """
    The batches of one rank in one epoch.

    The order is that of the whole run cut into global batches; each rank takes its share of
    every batch. So the number of workers changes neither order nor batch. The rest that fills
    no batch is left out of this epoch; another permutation leaves out others.
    """

    def __init__(
        self, films: int, batch_size: int, rank: int, world: int, seed_number: int, epoch: int
    ) -> None:
        order = seed.generator(seed_number, "order", epoch).permutation(films)
        self.steps = max(1, films // batch_size)
        # A set smaller than a batch is repeated to fill it.
        self._batches = np.resize(order, (self.steps, batch_size))[:, rank::world]
        self._epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Key]]:
        for batch in self._batches:
            yield [(self._epoch, int(place)) for place in batch]


class Shard(Sampler[list[Key]]):
    """The films of one rank for measuring: every film of the split on exactly one rank."""

    def __init__(self, films: int, batch_size: int, rank: int, world: int) -> None:
        places = range(rank, films, world)
        self._batches = [
            places[start : start + batch_size] for start in range(0, len(places), batch_size)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Key]]:
        for batch in self._batches:
            yield [(0, place) for place in batch]


def loader(films: Films, batches: Sampler[list[Key]], processes: int) -> DataLoader[Any]:
    """Batches (inputs n x c x h x w, labels n, places n) in the sampler's order."""
    return DataLoader(films, batch_sampler=batches, num_workers=processes)


def merge(parts: Sequence[tuple[np.ndarray, np.ndarray]], films: int) -> np.ndarray:
    """
    Logits of all ranks in the order of the split.

    Args:
        parts: For each rank the places it measured and their logits.
        films: How many there must be.
    """
    logits = np.full(films, np.nan, dtype=np.float64)
    places = np.concatenate([place for place, _ in parts])
    assert np.array_equal(np.sort(places), np.arange(films)), "each film is measured exactly once"
    logits[places] = np.concatenate([values for _, values in parts])
    return logits
