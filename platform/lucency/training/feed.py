"""Films to batches: what every way of feeding has in common, and how a batch is assembled."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import cv2
import numpy as np

from lucency import seed
from lucency.augment import Augmentation, Augmenter
from lucency.datasets.table import Table
from lucency.preprocess import Preprocess, tables
from lucency.training.order import Split


class Batch(NamedTuple):
    """
    What one step learns from.

    Attributes:
        inputs: float32, n x c x h x w.
        labels: int64, n.
        places: The films' indices in their split, n.
    """

    inputs: np.ndarray
    labels: np.ndarray
    places: np.ndarray


class Feed(ABC):
    """
    One split, ready to be asked for batches.

    The same places in the same epoch are the same numbers, bit for bit, from every kind of feed.
    """

    def __init__(self, split: Split) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    @property
    def labels(self) -> np.ndarray:
        """Whole numbers, by place."""
        return self.split.labels

    @property
    def patients(self) -> np.ndarray:
        """Whole numbers, by place; films of one patient have the same."""
        return self.split.patients

    @abstractmethod
    def batches(self, batches: Sequence[np.ndarray], epoch: int = 0) -> Iterator[Batch]:
        """Assemble batches of the given places, in that order; closing the iterator ends work."""


class Renderer:
    """
    Working films to inputs; variation follows from seed, epoch and place alone.

    Many threads may use one, as they may its augmenter: neither remembers a film.
    """

    def __init__(
        self, preprocess: Preprocess, augmentation: Augmentation | None, seed_number: int
    ) -> None:
        self.preprocess = preprocess
        self.augmentation = augmentation
        self.seed_number = seed_number
        self.shape = (preprocess.channels, preprocess.size, preprocess.size)
        self._augmenter = Augmenter(augmentation, preprocess) if augmentation else None
        # One film is too small to be shared among OpenCV's own threads.
        cv2.setNumThreads(1)

    def __reduce__(self) -> Any:
        return Renderer, (self.preprocess, self.augmentation, self.seed_number)

    def __call__(self, working: np.ndarray, epoch: int, place: int, out: np.ndarray) -> None:
        """Write one input, c x h x w, to ``out``."""
        if self._augmenter is None:
            self.preprocess.tensor(working, out)
            return
        self._augmenter(working, seed.derive(self.seed_number, "film", epoch, place), out)

    def takes_whole(self, shape: tuple[int, ...]) -> bool:
        """Whether films of this shape, h x w x c, become inputs by their gray levels alone."""
        channels, height, width = self.shape
        return self._augmenter is None and shape == (height, width, channels)

    def whole(self, films_nhwc: np.ndarray) -> np.ndarray:
        """
        Inputs of a batch at once, n x c x h x w, the same numbers as one by one.

        At 28 pixels what is done for each film apart costs four times the looking up.
        """
        inputs = np.empty((len(films_nhwc), *self.shape), dtype=np.float32)
        levels = tables(self.preprocess.mean, self.preprocess.std)
        for channel, table in enumerate(levels):
            rows = np.ascontiguousarray(films_nhwc[..., channel]).reshape(-1, self.shape[-1])
            inputs[:, channel] = cv2.LUT(rows, table).reshape(-1, *self.shape[1:])
        return inputs


def split_of(table: Table, name: str) -> tuple[np.ndarray, Split]:
    """
    The rows of a split in the table, and what its order follows from.

    Raises:
        DataError: the table has no such split.
    """
    rows = table.rows(name)
    split = Split(
        labels=table.columns["label"][rows].astype(np.int64),
        patients=table.codes("patient")[rows],
        groups=table.films.groups(rows),
    )
    return rows, split


def prefetched(
    assemble: Callable[[np.ndarray], Batch], batches: Sequence[np.ndarray], threads: int
) -> Iterator[Batch]:
    """
    Batches in their order, the next ones assembled in threads while one is learned from.

    Args:
        threads: One batch each; another one waits finished. 0 assembles when asked.
    """
    if not threads:
        yield from map(assemble, batches)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="feed")
    ahead: deque[Future[Batch]] = deque()
    try:
        for places in batches:
            ahead.append(pool.submit(assemble, places))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
