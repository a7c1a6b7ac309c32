"""Which way a run is fed: chosen by size, said aloud, counted in what the cluster must have."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency import cluster
from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.errors import ClusterError
from lucency.training import cache, feeding
from lucency.training.cache import Cached


def scaled(recipe: Recipe, **scaling: Any) -> Recipe:
    """The recipe with other scaling."""
    return Recipe.from_mapping(recipe.plain() | {"scaling": scaling}, "test")


def test_small_set_is_cached(
    recipe: Recipe, table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What disk and memory hold is decoded once, and one line says so with the figures."""
    settled = feeding.settled(scaled(recipe, cache=str(tmp_path)), table)

    said = capsys.readouterr().err
    assert settled.scaling.feeding == "cache"
    assert said.count("\n") == 1
    assert "feeding by cache: decoded films take up to" in said


@pytest.mark.parametrize("scarce", ["disk", "memory"])
def test_set_that_does_not_fit_is_streamed(
    recipe: Recipe, table: Table, tmp_path: Path, scarce: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little of either is enough to stream."""
    if scarce == "disk":
        monkeypatch.setattr(cache, "room", lambda folder: 1000)
    else:
        monkeypatch.setattr(feeding, "memory_bytes", lambda: 1000)

    settled = feeding.settled(scaled(recipe, cache=str(tmp_path)), table)

    assert settled.scaling.feeding == "stream"


@pytest.mark.parametrize("chosen", ["cache", "stream"])
def test_choice_of_a_person_stands(
    recipe: Recipe, table: Table, chosen: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the recipe names is taken without a word."""
    asked = scaled(recipe, feeding=chosen)

    assert feeding.settled(asked, table) == asked
    assert not capsys.readouterr().err


def test_choice_does_not_name_the_run(recipe: Recipe, table: Table, tmp_path: Path) -> None:
    """Fed by stream or by cache a run learns the same, so it goes on under its name."""
    settled = feeding.settled(scaled(recipe, cache=str(tmp_path)), table)

    assert settled.identity(table.digest) == recipe.identity(table.digest)


def test_cached_feed_is_opened_by_the_recipe(recipe: Recipe, table: Table, tmp_path: Path) -> None:
    """The split is the one asked for, and its films lie in the recipe's folder."""
    feed = feeding.opened(
        scaled(recipe, feeding="cache", cache=str(tmp_path)), table, "validation", varied=False
    )

    assert isinstance(feed, Cached)
    assert len(feed) == len(table.rows("validation"))
    assert list(tmp_path.glob("*.index"))


def test_only_training_varies_films(recipe: Recipe, table: Table, tmp_path: Path) -> None:
    """The same films differ between the two feeds, and only the varied one has epochs."""
    asked = scaled(recipe, feeding="cache", cache=str(tmp_path))
    varied, plain = (
        feeding.opened(asked, table, "train", varied=varied) for varied in (True, False)
    )
    places = [np.arange(4)]

    first, second = (next(varied.batches(places, epoch)).inputs for epoch in (0, 1))
    still, again = (next(plain.batches(places, epoch)).inputs for epoch in (0, 1))

    assert (first != second).any()
    assert (still == again).all()
    assert (first != still).any()


def test_data_tasks_count_as_cpus(recipe: Recipe) -> None:
    """Streaming needs CPUs beside those of the fewest workers, caching needs none."""
    scaling = {"workers": 2, "cpus_per_worker": 1.5, "stream_cpus": 3}

    assert feeding.cpus(scaled(recipe, feeding="cache", **scaling).scaling) == 3
    assert feeding.cpus(scaled(recipe, feeding="stream", **scaling).scaling) == 9
    elastic = scaling | {"workers": [1, 4]}
    assert feeding.cpus(scaled(recipe, feeding="stream", **elastic).scaling) == 4.5


@pytest.mark.ray
def test_streaming_without_cpus_is_refused_before_it_starts(
    recipe: Recipe, ray_cluster: None
) -> None:
    """A machine whose CPUs the workers hold is told so, instead of a wait without end."""
    asked = scaled(recipe, feeding="stream", workers=2, cpus_per_worker=500)

    with pytest.raises(ClusterError, match="scaling asks for 1002 CPU"):
        cluster.require(feeding.cpus(asked.scaling), 0)


@pytest.mark.parametrize(
    ("feeding_way", "workers", "there", "expected"),
    [
        ("stream", [1, 8], 6, (1, 3)),
        ("stream", [4, 8], 6, (4, 4)),
        ("stream", [1, 2], 64, (1, 2)),
        ("stream", 8, 6, 8),
        ("cache", [1, 8], 6, (1, 8)),
    ],
)
def test_elastic_workers_leave_data_tasks_their_cpus(
    recipe: Recipe, feeding_way: str, workers: Any, there: float, expected: Any
) -> None:
    """Ray would give every CPU to workers, and streaming beside them would wait in vain."""
    asked = scaled(recipe, feeding=feeding_way, workers=workers).scaling

    assert feeding.bounded(asked, there).workers == expected


def test_cache_needs_room_for_the_larger_split(recipe: Recipe, table: Table) -> None:
    """Streaming takes no room on a node's disk."""
    wanted = feeding.cache_bytes(scaled(recipe, feeding="cache"), table)

    assert wanted == cache.most_bytes(table, table.rows("train"), recipe.preprocess)
    assert feeding.cache_bytes(scaled(recipe, feeding="stream"), table) == 0
