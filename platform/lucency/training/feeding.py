"""Which way of feeding a run takes, and the feed of one split made so."""

from lucency import progress
from lucency.config.train import Recipe, Scaling
from lucency.datasets.table import Table
from lucency.training import cache
from lucency.training.cache import Cached
from lucency.training.feed import Feed, Renderer
from lucency.training.hardware import memory_bytes
from lucency.training.stream import Streamed

_SPLITS = ("train", "validation")
# A cache that memory can't keep is read from the disk again, film by film, in every epoch.
_MEMORY_SHARE = 0.5


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
        return Streamed(table, split, renderer, cpus=scaling.stream_cpus, world=scaling.most)
    folder = scaling.cache or cache.default_folder()
    return Cached(table, split, renderer, folder=folder, threads=scaling.loader_threads)


def cpus(scaling: Scaling) -> float:
    """How many CPUs a run needs at least, those of its data tasks among them."""
    return scaling.fewest * _cpus_each(scaling)


def bounded(scaling: Scaling, there: float) -> Scaling:
    """
    Elastic workers that leave their data tasks the CPUs they need.

    Ray Train gives an elastic run as many workers as the cluster has CPUs for; streaming beside
    them would wait for a CPU in vain.

    Args:
        there: CPUs of the cluster.
    """
    if scaling.feeding != "stream" or isinstance(scaling.workers, int):
        return scaling
    most = min(scaling.most, max(scaling.fewest, int(there // _cpus_each(scaling))))
    if most < scaling.most:
        progress.say(
            f"    at most {most} workers, not {scaling.most}: each needs {_cpus_each(scaling):g} "
            f"CPUs with its data tasks, and the cluster has {there:g}"
        )
    return scaling.model_copy(update={"workers": (scaling.fewest, most)})


def cache_bytes(recipe: Recipe, table: Table) -> int:
    """What the larger split takes on a node's disk once decoded; 0 where films are streamed."""
    if recipe.scaling.feeding == "stream":
        return 0
    return max(cache.most_bytes(table, table.rows(name), recipe.preprocess) for name in _SPLITS)


def _cpus_each(scaling: Scaling) -> float:
    streaming = scaling.stream_cpus if scaling.feeding == "stream" else 0
    return scaling.cpus_per_worker + streaming


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
