"""The order of an epoch: the same for any number of workers, fair to classes and patients."""

import itertools
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

from lucency.errors import TrainingError
from lucency.training.order import EpochOrder, Sampling, Split, merge, shard

SAMPLINGS: tuple[Sampling, ...] = ("shuffle", "stratified", "weighted")


def split(
    films: int, *, classes: int = 2, patients: int | None = None, group: int = 16, seed: int = 0
) -> Split:
    """Films with skewed classes; every film its own patient unless told otherwise."""
    rng = np.random.default_rng(seed)
    shares = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    return Split(
        labels=rng.choice(classes, size=films, p=shares),
        patients=np.arange(films) if patients is None else rng.integers(patients, size=films),
        groups=np.arange(films) // group,
    )


def order(films: Split, **changes: Any) -> EpochOrder:
    """An order of batches of eight."""
    settings: dict[str, Any] = {
        "batch_size": 8,
        "sampling": "stratified",
        "window": 16384,
        "seed_number": 3,
        "epoch": 1,
    }
    return EpochOrder(films, **(settings | changes))


def listed(batches: list[np.ndarray]) -> list[list[int]]:
    """The places of each batch."""
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("world", [1, 2, 4])
def test_global_batches_are_the_same_on_any_number_of_ranks(world: int, sampling: str) -> None:
    """What all ranks see in one step is what a single worker would see in it."""
    films = split(50, patients=30)
    alone = order(films, sampling=sampling).batches()
    ranks = [order(films, sampling=sampling).batches(rank=r, world=world) for r in range(world)]

    steps = zip(*map(listed, ranks), strict=True)

    assert [sorted(itertools.chain(*parts)) for parts in steps] == [sorted(b) for b in alone]
    assert {len(batch) for rank in ranks for batch in rank} == {8 // world}


@pytest.mark.parametrize("sampling", ["shuffle", "stratified"])
@pytest.mark.parametrize("window", [20, 10_000])
def test_epoch_repeats_no_film(sampling: str, window: int) -> None:
    """Within an epoch each film comes once at most; what fills no batch is left out."""
    planned = order(split(50, patients=20), sampling=sampling, window=window)

    seen = [place for batch in planned.batches() for place in batch.tolist()]

    assert planned.steps == 6
    assert len(seen) == len(set(seen)) == 48
    assert set(seen) <= set(range(50))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_other_epochs_leave_out_other_films(sampling: str) -> None:
    """Over some epochs every film is learned from, and no two epochs have one order."""
    orders = [
        listed(order(split(50), sampling=sampling, epoch=epoch).batches()) for epoch in range(15)
    ]

    seen = {place for each in orders for batch in each for place in batch}

    assert seen == set(range(50))
    assert len({str(each) for each in orders}) == 15


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_order_follows_from_seed_and_epoch(sampling: str) -> None:
    """A run that is taken up again continues as it would have."""
    first, again, other = (
        listed(order(split(50), sampling=sampling, seed_number=seed).batches())
        for seed in (7, 7, 8)
    )

    assert first == again != other


@pytest.mark.parametrize("classes", [1, 2, 5, 10])
@pytest.mark.parametrize("batch_size", [8, 12, 64])
def test_stratified_batches_have_the_sets_proportion(classes: int, batch_size: int) -> None:
    """Every batch, and every beginning of the epoch, is at most two films off in any class."""
    films = split(997, classes=classes)
    shares = np.bincount(films.labels) / 997

    batches = order(films, batch_size=batch_size).batches()

    counts = np.array([np.bincount(films.labels[batch], minlength=classes) for batch in batches])
    so_far = np.arange(1, len(batches) + 1)[:, None] * batch_size * shares
    assert np.abs(counts - batch_size * shares).max() < 2
    assert np.abs(np.cumsum(counts, axis=0) - so_far).max() < 2


def test_plain_shuffle_does_not_stratify() -> None:
    """What the stratified order evens out is there to be evened out."""
    films = split(997)
    shares = np.bincount(films.labels) / 997

    batches = order(films, sampling="shuffle", batch_size=64).batches()

    counts = np.array([np.bincount(films.labels[batch], minlength=2) for batch in batches])
    assert np.abs(counts - 64 * shares).max() > 4


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_have_their_share_of_each_class(world: int) -> None:
    """The shares of a batch differ by one film a class at most, also for alternating classes."""
    films = Split(np.arange(400) % 2, np.arange(400), np.zeros(400, dtype=np.int64))
    ranks = [order(films, batch_size=16).batches(rank=r, world=world) for r in range(world)]

    for shares in zip(*ranks, strict=True):
        counts = [np.bincount(films.labels[share], minlength=2) for share in shares]
        assert np.ptp(counts, axis=0).max() <= 1


def test_weighted_draws_all_classes_alike() -> None:
    """A class of two in a hundred comes as often as the others, with repeats."""
    films = Split(np.array(([0] * 66 + [1] * 32 + [2] * 2) * 30), np.arange(3000), np.arange(3000))

    drawn = np.concatenate(order(films, sampling="weighted").batches())

    counts = np.bincount(films.labels[drawn])
    assert len(drawn) == 3000
    assert counts.min() > 900
    assert len(set(drawn[films.labels[drawn] == 2].tolist())) == 60


@pytest.mark.parametrize("sampling", ["shuffle", "stratified"])
@pytest.mark.parametrize(("patients", "films"), [(400, 960), (60, 960), (8, 64), (10, 80)])
def test_no_batch_holds_a_patient_twice(sampling: str, patients: int, films: int) -> None:
    """As long as no patient has more films than there are batches, none meets another of theirs."""
    one_each = np.random.default_rng(1).permutation(np.arange(films) % patients)
    labels = np.random.default_rng(2).integers(2, size=films)
    planned = order(Split(labels, one_each, np.arange(films) // 16), sampling=sampling)

    for batch in planned.batches():
        assert len(set(one_each[batch].tolist())) == 8


@pytest.mark.parametrize("sampling", ["shuffle", "stratified"])
def test_patient_with_many_films_is_spread_evenly(sampling: str) -> None:
    """Forty films of one patient in twenty batches are two in each."""
    patients = np.concatenate([np.zeros(40, dtype=np.int64), np.arange(1, 121)])
    labels = np.random.default_rng(0).integers(2, size=160)
    planned = order(Split(labels, patients, np.zeros(160, dtype=np.int64)), sampling=sampling)

    times = [np.count_nonzero(patients[batch] == 0) for batch in planned.batches()]

    assert set(times) == {2}


def test_window_bounds_the_row_groups_at_hand() -> None:
    """Each row group is wanted within one window's batches, and windows are not in file order."""
    films = split(4096, group=64)
    batches = order(films, batch_size=32, window=512).batches()
    groups = [set(films.groups[batch].tolist()) for batch in batches]

    spans = [[step for step, there in enumerate(groups) if group in there] for group in range(64)]

    assert max(span[-1] - span[0] for span in spans) <= 512 // 32 + 2
    assert [span[0] for span in spans] != sorted(span[0] for span in spans)


def test_order_in_a_window_is_free() -> None:
    """Films of one row group don't come together: a batch has films of most of the window."""
    films = split(4096, group=64)

    batches = order(films, batch_size=32, window=512).batches()

    assert min(len(set(films.groups[batch].tolist())) for batch in batches) >= 4


def test_set_within_the_window_is_shuffled_whole() -> None:
    """Every batch of a small set may hold films from anywhere in the table."""
    films = split(1024, group=64)

    batches = order(films, batch_size=64, window=1024).batches()

    assert min(len(set(films.groups[batch].tolist())) for batch in batches) > 8


@pytest.mark.parametrize("sampling", ["shuffle", "stratified"])
def test_set_smaller_than_a_batch_fills_it(sampling: str) -> None:
    """Three films make one batch of eight, each two or three times."""
    (batch,) = order(split(3), sampling=sampling).batches()

    assert len(batch) == 8
    assert set(Counter(batch.tolist()).values()) == {2, 3}


@pytest.mark.parametrize("start", [0, 1, 5, 6])
def test_order_goes_on_within_an_epoch(start: int) -> None:
    """Begun at a step, the rest of the epoch is what it would have been."""
    planned = order(split(50))

    assert listed(planned.batches(start)) == listed(planned.batches())[start:]


def test_position_leads_to_the_same_place() -> None:
    """A checkpoint within an epoch starts there; one of an earlier epoch starts the next anew."""
    films = split(50)
    within = order(films, epoch=4).position(5)

    assert order(films, epoch=4).start(within) == 5
    assert order(films, epoch=5).start(order(films, epoch=4).position()) == 0
    assert order(films, epoch=5).start({}) == 0


@pytest.mark.parametrize(
    "changes",
    [{"batch_size": 10}, {"sampling": "shuffle"}, {"window": 9}, {"seed_number": 4}],
)
def test_resuming_in_another_order_is_refused(changes: dict[str, Any]) -> None:
    """A checkpoint goes on in the order it was made in or not at all."""
    position = order(split(50)).position(2)

    with pytest.raises(TrainingError, match=r"was made in order '[0-9a-f]{12}', this run has"):
        order(split(50), **changes).start(position)


@pytest.mark.parametrize("column", ["labels", "patients", "groups"])
def test_digest_is_that_of_the_films(column: str) -> None:
    """Another label, patient or row group of one film is another order; another epoch is not."""
    films = split(50)
    changed = Split(**(vars(films) | {column: np.roll(getattr(films, column), 1)}))

    assert order(changed).digest != order(films).digest == order(films, epoch=9).digest


def test_order_of_sixty_thousand_films_is_quick() -> None:
    """An epoch's order costs less than a tenth of a second a window, not a share of the epoch."""
    films = split(60_000, classes=10, patients=30_000, group=256)
    began = time.process_time()

    batches = order(films, batch_size=32).batches()

    assert time.process_time() - began < 0.5
    assert len(batches) == 1875


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("films", [3, 16, 21])
def test_every_film_is_measured_on_exactly_one_rank(films: int, world: int) -> None:
    """The shards of all ranks together are the split, nothing twice and nothing left out."""
    shards = [shard(films, 4, rank=rank, world=world) for rank in range(world)]

    measured = [place for batches in shards for batch in batches for place in batch.tolist()]

    assert sorted(measured) == list(range(films))
    assert all(1 <= len(batch) <= 4 for batches in shards for batch in batches)


def test_logits_return_to_the_order_of_the_split() -> None:
    """Whatever rank measured a film, its logits end at its place."""
    parts = [
        (np.array([0, 2, 4]), np.array([[0.0], [2.0], [4.0]])),
        (np.array([3, 1]), np.array([[3.0], [1.0]])),
    ]

    assert merge(parts, 5)[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("measured", [[0, 1], [0, 1, 1], [0, 1, 2, 3]])
def test_film_measured_twice_or_never_is_our_mistake(measured: list[int]) -> None:
    """Figures over a set with a film too few or too many are not given."""
    part = (np.array(measured), np.zeros(len(measured)))

    with pytest.raises(AssertionError, match="exactly once"):
        merge([part], 3)
