"""Streaming gives what the cache gives, in order, and reads no row group longer than it must."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lucency import files, images
from lucency.augment import Augmentation
from lucency.config.train import Recipe
from lucency.datasets import table
from lucency.datasets.table import Row, Table
from lucency.errors import ClusterError
from lucency.preprocess import Preprocess
from lucency.training import stream, trainer
from lucency.training.cache import Cached
from lucency.training.feed import Batch, Renderer
from lucency.training.order import EpochOrder, Split, shard
from lucency.training.stream import Streamed, plan

RENDERER = Renderer(Preprocess(size=32), Augmentation(), 7)
FILMS = 1400
WINDOW = 512


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Films of noise in several sizes and six row groups, so that no two are alike."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(FILMS):
        height, width = rng.integers(20, 80, 2)
        data = images.encode_png(rng.integers(0, 256, (height, width), dtype=np.uint8))
        split = "validation" if number % 8 == 0 else "train"
        rows.append(
            Row(
                data,
                None,
                int(rng.random() < 0.3),
                f"p{number // 2}",
                "a",
                split,
                int(width),
                int(height),
                files.sha256(data),
            )
        )
    path = tmp_path_factory.mktemp("noise") / table.NAME
    return table.write(path, rows, classes=("NO", "YES"), name="test")


def planned(split: Split) -> EpochOrder:
    """Batches of thirty-two in several windows."""
    return EpochOrder(
        split, batch_size=32, sampling="stratified", window=WINDOW, seed_number=1, epoch=2
    )


def equal(one: list[Batch], other: list[Batch]) -> bool:
    """Bit for bit the same, in the same order."""
    return len(one) == len(other) and all(
        np.array_equal(left, right)
        for pair in zip(one, other, strict=True)
        for left, right in zip(*pair, strict=True)
    )


@pytest.mark.ray
def test_stream_and_cache_give_the_same_batches(
    noise: Table, tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same samples, same order, bit for bit, whole epochs, shares, measuring and a late start."""
    monkeypatch.setattr(stream, "_FEWEST_FILMS", 100)
    streamed = Streamed(noise, "train", RENDERER, cpus=1)
    cached = Cached(noise, "train", RENDERER, folder=tmp_path, threads=1)
    order = planned(cached.split)

    for wanted in (
        order.batches(),
        order.batches(5, rank=1, world=2),
        shard(len(cached), 100, rank=0, world=3),
    ):
        assert equal(list(streamed.batches(wanted, 2)), list(cached.batches(wanted, 2)))
    assert streamed.split.labels.tolist() == cached.labels.tolist()
    assert len(plan(order.batches(), streamed.split.groups, np.arange(len(streamed)))) > 1


@pytest.mark.ray
@pytest.mark.slow
def test_streamed_run_learns_what_a_cached_one_does(
    recipe: Recipe, table: Table, tmp_path: Path, ray_cluster: None
) -> None:
    """Beside a training worker that holds its own CPU, a stream gives the same weights."""
    weights = []
    for feeding in ("cache", "stream"):
        asked = Recipe.from_mapping(recipe.plain() | {"scaling": {"feeding": feeding}}, "test")
        run = trainer.fit(asked, table.path, tmp_path / feeding)
        weights.append((run.folder / trainer.WEIGHTS).read_bytes())

    assert weights[0] == weights[1]


@pytest.mark.ray
def test_closed_stream_gives_its_tasks_back(
    noise: Table, tmp_path: Path, ray_cluster: None
) -> None:
    """A loop that stops early, or asks for nothing, leaves a stream that begins again."""
    streamed = Streamed(noise, "train", RENDERER, cpus=1)
    wanted = planned(streamed.split).batches()
    first = streamed.batches(wanted, 0)
    begun = next(first)
    first.close()  # type: ignore[attr-defined]

    again = next(streamed.batches(wanted, 0))

    assert equal([begun], [again])
    assert list(streamed.batches([], 0)) == []


@pytest.mark.ray
def test_stream_reads_a_uri(noise: Table, ray_cluster: None) -> None:
    """A table named by URI streams as the same table named by path."""
    by_path = Streamed(noise, "validation", RENDERER, cpus=1)
    by_uri = Streamed(Table.open(noise.path.as_uri()), "validation", RENDERER, cpus=1)
    wanted = shard(len(by_path), 64, rank=0, world=1)

    assert equal(list(by_uri.batches(wanted)), list(by_path.batches(wanted)))


@pytest.mark.ray
def test_no_cpu_for_data_is_an_error_and_not_a_wait(
    noise: Table, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the workers hold every CPU the run ends with what to change."""
    monkeypatch.setattr(stream, "_PATIENCE_S", 0.0)

    with pytest.raises(ClusterError, match="no CPU came free for streaming"):
        Streamed(noise, "train", RENDERER, cpus=1)


def test_read_ends_where_its_row_groups_do() -> None:
    """No row group is read twice in an epoch, though batches lie between windows."""
    groups = np.arange(20_000) // 180
    split = Split(np.arange(20_000) % 3, np.arange(20_000), groups)
    order = EpochOrder(
        split, batch_size=48, sampling="stratified", window=4000, seed_number=0, epoch=0
    )

    for batches in (order.batches(), order.batches(rank=1, world=2)):
        reads = plan(batches, groups, np.arange(20_000))
        of_read = [set(groups[read["place"].to_numpy()].tolist()) for read in reads]

        assert len(reads) == 5
        assert sum(map(len, of_read)) == len(set().union(*of_read))


def test_plan_holds_every_film_in_the_order_of_the_batches() -> None:
    """Each film of each batch is wanted once, at its index, batch after batch."""
    batches = [np.array([7, 1, 3]), np.array([9, 8]), np.array([0, 7, 2])]
    groups, rows = np.arange(10) // 2, np.arange(10) + 100

    wanted = pa.concat_tables(plan(batches, groups, rows)).to_pylist()

    numbers = [film["batch"] for film in wanted]
    assert numbers == sorted(numbers)
    for film in wanted:
        assert batches[film["batch"]][film["index"]] == film["place"] == film["row"] - 100
    assert len({(film["batch"], film["index"]) for film in wanted}) == 8


def test_measuring_reads_row_groups_together() -> None:
    """Films wanted in the table's order are read in bounded parts, not in one."""
    groups = np.arange(10_000) // 256
    reads = plan(shard(10_000, 32, rank=0, world=1), groups, np.arange(10_000))

    sizes = [len(read) for read in reads]

    assert sum(sizes) == 10_000
    assert max(sizes) < 2048
    assert len(sizes) == 10
