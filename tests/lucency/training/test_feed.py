"""Inputs follow from seed, epoch and place; batches come in order from any number of threads."""

import pickle
import sys
import threading

import numpy as np
import pytest

from lucency.augment import Augmentation
from lucency.datasets.table import Table
from lucency.images import Color
from lucency.preprocess import Preprocess
from lucency.training import feed
from lucency.training.feed import Batch, Renderer

PREPROCESS = Preprocess(size=32)
WORKING = np.random.default_rng(0).integers(0, 256, (40, 50, 1), dtype=np.uint8)


def rendered(renderer: Renderer, epoch: int, place: int) -> np.ndarray:
    """One input."""
    out = np.empty(renderer.shape, dtype=np.float32)
    renderer(WORKING, epoch, place, out)
    return out


def numbered(places: np.ndarray) -> Batch:
    """A batch that holds its places and nothing else."""
    return Batch(places.astype(np.float32), places, places)


def test_input_is_the_same_whatever_came_before() -> None:
    """A film of an epoch looks the same on any worker, in any order, after any journey."""
    one = Renderer(PREPROCESS, Augmentation(), 5)
    other = pickle.loads(pickle.dumps(Renderer(PREPROCESS, Augmentation(), 5)))

    forward = [rendered(one, 2, place) for place in range(4)]
    backward = [rendered(other, 2, place) for place in reversed(range(4))]

    np.testing.assert_array_equal(forward, backward[::-1])


@pytest.mark.parametrize(("seed", "epoch", "place"), [(6, 0, 0), (5, 1, 0), (5, 0, 1)])
def test_input_varies_with_seed_epoch_and_place(seed: int, epoch: int, place: int) -> None:
    """Augmentation is drawn anew for each film in each epoch, and by the run's seed."""
    usual = rendered(Renderer(PREPROCESS, Augmentation(), 5), 0, 0)

    other = rendered(Renderer(PREPROCESS, Augmentation(), seed), epoch, place)

    assert not np.array_equal(usual, other)


def test_without_augmentation_the_input_is_the_predictors(table: Table) -> None:
    """Measuring feeds the network what serving will feed it, bit for bit."""
    renderer = Renderer(PREPROCESS, None, 0)
    (encoded,) = table.images(table.rows("validation")[:1])
    out = np.empty(renderer.shape, dtype=np.float32)

    renderer(PREPROCESS.working(encoded, checked=True), 3, 0, out)

    np.testing.assert_array_equal(out, PREPROCESS(encoded))


@pytest.mark.parametrize("color", ["L", "RGB"])
def test_whole_batch_is_its_films_one_by_one(color: Color) -> None:
    """Looking up all gray levels of a batch together gives the same numbers."""
    numbers = {"L": (0.1307,), "RGB": (0.4, 0.5, 0.6)}[color]
    preprocess = Preprocess(size=28, color=color, mean=numbers, std=numbers)
    renderer = Renderer(preprocess, None, 0)
    shape = (5, 28, 28, preprocess.channels)
    films_nhwc = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = np.empty((5, *renderer.shape), dtype=np.float32)
    for place, film in enumerate(films_nhwc):
        renderer(film, 0, place, expected[place])

    found = renderer.whole(films_nhwc)

    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("augmentation", "shape", "taken"),
    [
        (None, (32, 32, 1), True),
        (None, (40, 32, 1), False),
        (None, (32, 32, 3), False),
        (Augmentation(), (32, 32, 1), False),
    ],
)
def test_only_finished_films_are_taken_whole(
    augmentation: Augmentation | None, shape: tuple[int, ...], taken: bool
) -> None:
    """Films that are varied, or still have to be resized, are drawn one by one."""
    assert Renderer(PREPROCESS, augmentation, 0).takes_whole(shape) is taken


def test_threads_share_a_renderer() -> None:
    """What several threads draw at the same time is what one would draw."""
    renderer = Renderer(PREPROCESS, Augmentation(), 5)
    alone = [rendered(renderer, 0, place) for place in range(200)]
    found: list[np.ndarray | None] = [None] * 200

    def draw(first: int) -> None:
        for place in range(first, 200, 4):
            found[place] = rendered(renderer, 0, place)

    # Threads change places between any two lines, not every 5 ms.
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=draw, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(usual)

    np.testing.assert_array_equal(found, alone)


def test_split_describes_the_tables_films(table: Table) -> None:
    """Labels, patients and row groups are those of the split's rows."""
    rows, split = feed.split_of(table, "train")

    assert split.labels.tolist() == table.columns["label"][rows].tolist()
    named = dict(zip(split.patients.tolist(), table.columns["patient"][rows], strict=True))
    assert [named[code] for code in split.patients.tolist()] == list(table.columns["patient"][rows])
    assert len(set(named.values())) == len(named)
    assert split.groups.tolist() == [row // 256 for row in rows]


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_batches_come_in_order(threads: int, count: int) -> None:
    """However many threads assemble, batches come as planned, all of them."""
    batches = [np.arange(start, start + 2) for start in range(count)]

    found = list(feed.prefetched(numbered, batches, threads))

    assert [batch.places.tolist() for batch in found] == [b.tolist() for b in batches]


def test_few_batches_are_assembled_ahead() -> None:
    """Memory holds a batch a thread and one more, not the epoch."""
    begun: list[int] = []

    def assemble(places: np.ndarray) -> Batch:
        begun.append(int(places[0]))
        return numbered(places)

    stream = feed.prefetched(assemble, [np.array([n]) for n in range(50)], 2)
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]

    assert max(begun) <= 3


def test_failure_in_a_thread_reaches_the_loop() -> None:
    """A film that can't be decoded ends the epoch with its own error, at its batch."""

    def assemble(places: np.ndarray) -> Batch:
        if places[0] == 3:
            raise ValueError("film 3")
        return numbered(places)

    stream = feed.prefetched(assemble, [np.array([n]) for n in range(9)], 2)

    assert [int(next(stream).places[0]) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="film 3"):
        next(stream)


def test_closed_feed_leaves_no_thread() -> None:
    """A loop that stops early ends the threads that worked for it."""
    before = threading.active_count()
    stream = feed.prefetched(numbered, [np.array([n]) for n in range(50)], 3)
    next(stream)

    stream.close()  # type: ignore[attr-defined]

    assert threading.active_count() == before
