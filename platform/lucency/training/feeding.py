"""Which way of feeding a run takes, and the feed of one split made so."""

import os
from pathlib import Path

from lucency import progress
from lucency.config.train import Recipe, Scaling
from lucency.datasets.table import Table
from lucency.training import cache
from lucency.training.cache import Cached
from lucency.training.feed import Feed, Renderer
from lucency.training.stream import Streamed

_SPLITS = ("train", "validation")
# A cache that memory can't keep is read from the disk again, film by film, in every epoch.
_MEMORY_SHARE = 0.5
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def settled(recipe: Recipe, table: Table) -> Recipe:
    """
    The recipe with ``auto`` decided, by the disk and the memory of this node.

    Says in one line what was chosen and why.
    """
    if recipe.scaling.feeding != "auto":
        return recipe
    folder = recipe.scaling.cache or cache.default_folder()
    wanted = sum(cache.most_bytes(table, table.rows(name), recipe.preprocess) for name in _SPLITS)
    disk, memory = cache.room(folder), int(_MEMORY_SHARE * memory_bytes())
    chosen = "cache" if wanted <= min(disk, memory) else "stream"
    progress.say(
        f"    feeding by {chosen}: decoded films take up to {_gib(wanted)}, a cache may take "
        f"{_gib(disk)} of the disk and {_gib(memory)} of memory"
    )
    scaling = recipe.scaling.model_copy(update={"feeding": chosen})
    return recipe.model_copy(update={"scaling": scaling})


def opened(recipe: Recipe, table: Table, split: str, *, varied: bool) -> Feed:
    """
    The feed of one split, by the settled recipe.

    Args:
        varied: With the recipe's augmentation; measuring goes without.
    """
    scaling = recipe.scaling
    assert scaling.feeding != "auto", "a recipe is settled before workers start"
    renderer = Renderer(recipe.preprocess, recipe.augmentation if varied else None, recipe.seed)
    if scaling.feeding == "stream":
        return Streamed(table, split, renderer, cpus=scaling.stream_cpus, world=scaling.workers)
    folder = scaling.cache or cache.default_folder()
    return Cached(table, split, renderer, folder=folder, threads=scaling.loader_threads)


def cpus(scaling: Scaling) -> float:
    """How many CPUs a run needs, those of its data tasks among them."""
    streaming = scaling.stream_cpus if scaling.feeding == "stream" else 0
    return scaling.workers * (scaling.cpus_per_worker + streaming)


def memory_bytes() -> int:
    """Memory of this node, or what its container may use of it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.is_file() else "max"
    return physical if limit == "max" else min(physical, int(limit))


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
