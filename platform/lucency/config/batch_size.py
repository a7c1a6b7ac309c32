"""What ``jobs/batch_size.py`` may be told."""

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from lucency.config.node import Node
from lucency.config.train import TrainConfig
from lucency.errors import ConfigError


class BatchSizeConfig(Node):
    """
    A training configuration, and how far to try.

    Attributes:
        train: The configuration of ``jobs/train.py`` whose network, precision and worker count.
        overrides: Changes to it, ``a.b=c``, as on that job's command line.
        classes: Of the made labels; those of the configuration's table if none are named.
        most: No more films at once than this are tried.
        seconds: For how long each size is timed.
        memory_share: Of the memory that is free, what a size may take on a CPU.
        spare: Share of a GPU's memory that the size found must leave free.
    """

    train: Path
    overrides: tuple[str, ...] = ()
    classes: Annotated[int, Field(ge=2)] | None = None
    most: Annotated[int, Field(ge=1)] = 4096
    seconds: Annotated[float, Field(gt=0)] = 0.5
    memory_share: Annotated[float, Field(gt=0, le=0.9)] = 0.5
    spare: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @cached_property
    def training(self) -> TrainConfig:
        """What is to be trained."""
        return TrainConfig.from_file(self.train, self.overrides)

    @model_validator(mode="after")
    def _can_be_trained(self) -> "BatchSizeConfig":
        try:
            _ = self.training
        except ConfigError as cause:
            raise ValueError(str(cause)) from cause
        return self
