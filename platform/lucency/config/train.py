"""What ``jobs/train.py`` may be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lucency import files
from lucency.augment import Augmentation
from lucency.config.node import Node
from lucency.evaluation.rule import ClinicalRule
from lucency.learning.losses import losses
from lucency.learning.optimizers import optimizers
from lucency.models.base import architectures
from lucency.preprocess import Preprocess
from lucency.registry import Options


class Phase(Node):
    """
    A stretch of training with its own learning rate.

    Attributes:
        train: ``head`` leaves the trunk as it is, its batch-norm statistics included.
        warm_up: Share of the phase's steps in which the rate rises from zero.
    """

    epochs: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    train: Literal["head", "all"] = "all"
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1


class Scaling(Node):
    """
    How many workers, and what each holds. The same recipe runs on one CPU or on many GPUs.

    Attributes:
        gpu: One GPU a worker (nccl); otherwise CPU (gloo).
        max_failures: How many times dead workers are replaced before the run gives up.
        loader_processes: Processes a worker decodes and augments in; 0 is the worker itself.
    """

    workers: Annotated[int, Field(ge=1)] = 1
    cpus_per_worker: Annotated[float, Field(gt=0)] = 1
    gpu: bool = False
    max_failures: Annotated[int, Field(ge=0)] = 2
    loader_processes: Annotated[int, Field(ge=0)] = 0


class Recipe(Node):
    """
    Everything that decides what is learned, and ``scaling``, which must not.

    Attributes:
        batch_size: Films a step over all workers together.
        patience: Epochs without a better score before the run stops.
        precision: ``bf16`` computes convolutions in bfloat16 (autocast); weights stay float32.
    """

    preprocess: Preprocess
    augmentation: Augmentation | None = Augmentation()
    model: Annotated[Options, architectures.field()]
    loss: Annotated[Options, losses.field()]
    optimizer: Annotated[Options, optimizers.field()]
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    batch_size: Annotated[int, Field(ge=1)] = 32
    patience: Annotated[int, Field(ge=1)] = 5
    precision: Literal["fp32", "bf16"] = "fp32"
    rule: ClinicalRule = ClinicalRule()
    seed: Annotated[int, Field(ge=0)] = 0
    scaling: Scaling = Scaling()

    @model_validator(mode="after")
    def _batch_divides(self) -> "Recipe":
        if self.batch_size % self.scaling.workers:
            raise ValueError(
                f"batch_size {self.batch_size} can't be divided among "
                f"{self.scaling.workers} workers: make it a multiple"
            )
        return self

    @property
    def epochs(self) -> int:
        """Of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def identity(self, data_digest: str) -> str:
        """
        Name of the run: the same recipe on the same data has the same name and resumes.

        Scaling is left out, so that a run can go on with other workers.
        """
        plain = {key: value for key, value in self.plain().items() if key != "scaling"}
        return f"{files.digest(plain)[:8]}-{data_digest[:8]}"


class TrainConfig(Node):
    """
    A recipe, the table to learn from and the folder for runs.

    Attributes:
        fresh: Throw away what an earlier run of the same name left, and start anew.
    """

    table: Path
    runs: Path
    fresh: bool = False
    recipe: Recipe
