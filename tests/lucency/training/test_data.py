"""Films to batches: the number of workers changes neither the order nor a single film."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from lucency.augment import Augmentation
from lucency.datasets.table import Table
from lucency.preprocess import Preprocess
from lucency.training.data import EpochOrder, Films, Shard, loader, merge

PREPROCESS = Preprocess(size=32)


def places(order: EpochOrder | Shard) -> list[list[int]]:
    """The films of each batch."""
    return [[place for _, place in batch] for batch in order]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_global_batches_are_the_same_on_any_number_of_ranks(world: int) -> None:
    """What all ranks see in one step is what a single worker would see in it."""
    alone = EpochOrder(50, 8, rank=0, world=1, seed_number=3, epoch=1)
    ranks = [EpochOrder(50, 8, rank, world, seed_number=3, epoch=1) for rank in range(world)]

    steps = zip(*map(places, ranks), strict=True)

    assert [sorted(itertools.chain(*parts)) for parts in steps] == [
        sorted(b) for b in places(alone)
    ]
    assert {len(batch) for rank in ranks for batch in places(rank)} == {8 // world}


def test_epoch_repeats_no_film() -> None:
    """Within an epoch each film comes once at most; what fills no batch is left out."""
    order = EpochOrder(50, 8, rank=0, world=1, seed_number=0, epoch=0)

    seen = [place for batch in places(order) for place in batch]

    assert len(order) == 6
    assert len(seen) == len(set(seen)) == 48
    assert set(seen) <= set(range(50))


def test_other_epochs_leave_out_other_films() -> None:
    """Over some epochs every film is learned from, and no two epochs have one order."""
    orders = [places(EpochOrder(50, 8, 0, 1, seed_number=0, epoch=epoch)) for epoch in range(6)]

    seen = {place for order in orders for batch in order for place in batch}

    assert seen == set(range(50))
    assert len({str(order) for order in orders}) == 6


def test_order_follows_from_seed_and_epoch() -> None:
    """A run that is taken up again continues as it would have."""
    first, again, other = (
        places(EpochOrder(50, 8, 0, 1, seed_number=seed, epoch=4)) for seed in (7, 7, 8)
    )

    assert first == again != other


def test_set_smaller_than_a_batch_fills_it() -> None:
    """Three films make one batch of eight, each two or three times."""
    order = EpochOrder(3, 8, rank=0, world=1, seed_number=0, epoch=0)

    (batch,) = places(order)

    assert len(batch) == 8
    assert set(Counter(batch).values()) == {2, 3}


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("films", [3, 16, 21])
def test_every_film_is_measured_on_exactly_one_rank(films: int, world: int) -> None:
    """The shards of all ranks together are the split, nothing twice and nothing left out."""
    shards = [Shard(films, 4, rank, world) for rank in range(world)]

    measured = [place for shard in shards for batch in places(shard) for place in batch]

    assert sorted(measured) == list(range(films))
    assert all(len(batch) <= 4 for shard in shards for batch in places(shard))
    assert [len(shard) for shard in shards] == [len(places(shard)) for shard in shards]


def test_augmented_film_is_the_same_on_any_rank(table: Table) -> None:
    """A film of an epoch looks the same whichever worker draws it, and whatever it drew before."""
    one, other = (Films(table, "train", PREPROCESS, Augmentation(), 5) for _ in range(2))

    forward = [one[2, place][0] for place in range(4)]
    backward = [other[2, place][0] for place in reversed(range(4))]

    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))


def test_film_varies_from_epoch_to_epoch(table: Table) -> None:
    """Augmentation is drawn anew each epoch, and by the run's seed."""
    films = Films(table, "train", PREPROCESS, Augmentation(), 5)
    reseeded = Films(table, "train", PREPROCESS, Augmentation(), 6)

    assert not torch.equal(films[0, 0][0], films[1, 0][0])
    assert not torch.equal(films[0, 0][0], reseeded[0, 0][0])


def test_without_augmentation_the_input_is_the_predictors(table: Table) -> None:
    """Measuring feeds the network what serving will feed it, bit for bit."""
    films = Films(table, "validation", PREPROCESS, None, 0)
    (encoded,) = table.images(table.rows("validation")[:1])

    input_chw, label, place = films[3, 0]

    np.testing.assert_array_equal(input_chw.numpy(), PREPROCESS(encoded))
    assert label == table.columns["label"][table.rows("validation")[0]]
    assert place == 0


@pytest.mark.parametrize("processes", [0, 1])
def test_loader_keeps_the_samplers_order(table: Table, processes: int) -> None:
    """Batches come as planned, also from another process, with labels that belong to them."""
    films = Films(table, "validation", PREPROCESS, None, 0)
    shard = Shard(len(films), 4, rank=0, world=2)

    batches = list(loader(films, shard, processes))

    assert [where.tolist() for _, _, where in batches] == places(shard)
    for images_nchw, labels_n, where in batches:
        assert images_nchw.shape == (len(where), 1, 32, 32)
        np.testing.assert_array_equal(labels_n, films.labels[where])


def test_logits_return_to_the_order_of_the_split() -> None:
    """Whatever rank measured a film, its logit ends at its place."""
    parts = [(np.array([0, 2, 4]), np.array([0.0, 2.0, 4.0])), (np.array([3, 1]), [3.0, 1.0])]

    merged = merge(parts, 5)  # type: ignore[arg-type]

    assert merged.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("measured", [[0, 1], [0, 1, 1], [0, 1, 2, 3]])
def test_film_measured_twice_or_never_is_our_mistake(measured: list[int]) -> None:
    """Figures over a set with a film too few or too many are not given."""
    part = (np.array(measured), np.zeros(len(measured)))

    with pytest.raises(AssertionError, match="exactly once"):
        merge([part], 3)
