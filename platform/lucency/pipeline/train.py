"""Table -> run."""

from typing import Any

from lucency.config.train import TrainConfig
from lucency.training import trainer


def train(config: TrainConfig) -> dict[str, Any]:
    """Train, or go on; gives the run's folder and its record."""
    run = trainer.fit(
        config.recipe,
        config.table,
        config.runs,
        name=config.name,
        fresh=config.fresh,
        resume=config.resume,
        tracking=config.tracking,
    )
    return {"folder": str(run.folder), **run.record}
