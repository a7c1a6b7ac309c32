"""Recipe -> how many films a worker should take at once."""

from typing import Any

from lucency import progress
from lucency.config.batch_size import BatchSizeConfig
from lucency.datasets.table import Table
from lucency.training import batch_size as finder
from lucency.training.batch_size import Limits, Size


def batch_size(config: BatchSizeConfig) -> dict[str, Any]:
    """Try growing sizes, show them as they come; gives the one to take and all that were tried."""
    recipe = config.training.recipe
    classes = config.classes or len(Table.open(config.training.table).classes)
    limits = Limits(config.most, config.seconds, config.memory_share, config.spare)
    sizes: list[Size] = []
    for size in finder.measured(recipe, classes, limits):
        if not sizes:
            progress.say(f"    {'films at once':>14}{'films/s':>12}{'memory':>13}")
        sizes.append(size)
        progress.say(f"    {size.films:14}{size.images_per_s:12,.1f}{size.memory_mib:9,.0f} MiB")
    found = finder.chosen(sizes, gpu=recipe.scaling.gpu)
    share = -(-recipe.batch_size // recipe.scaling.fewest)
    progress.say(
        f"    batch_size {recipe.batch_size} is {share} films a worker: "
        + (
            f"set scaling.micro_batch={found.films}"
            if share > found.films
            else "scaling.micro_batch is not needed"
        )
    )
    return {
        "micro_batch": found.films,
        "images_per_s": found.images_per_s,
        "memory_mib": found.memory_mib,
        "share": share,
        "sizes": [size.plain() for size in sizes],
    }
