"""What ``jobs/compare.py`` may be told."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from lucency.augment import Augmentation
from lucency.config.node import Node
from lucency.config.train import Recipe
from lucency.errors import ConfigError
from lucency.models.base import architectures
from lucency.preprocess import Preprocess
from lucency.registry import Options


class ComparedSet(Node):
    """A prepared table and how its images are read; the same for every architecture."""

    name: str
    table: Path
    preprocess: Preprocess
    augmentation: Augmentation | None = None


class CompareConfig(Node):
    """
    Architectures x data sets, all trained under one budget.

    Attributes:
        budget: What else a recipe may be told (``jobs/train.py``): loss, optimiser, phases, ...
        learning_rates: Another rate for all phases of these architectures, by name; a network
            without normalisation does not learn at the rate of one with it.
        concurrent: Runs at a time; the cluster must hold the workers of so many.
        output: Folder for runs, report and figures.
    """

    sets: Annotated[tuple[ComparedSet, ...], Field(min_length=1)]
    models: Annotated[tuple[Annotated[Options, architectures.field()], ...], Field(min_length=1)]
    budget: dict[str, Any]
    learning_rates: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    concurrent: Annotated[int, Field(ge=1)] = 1
    output: Path

    @model_validator(mode="after")
    def _every_pair_is_a_recipe(self) -> "CompareConfig":
        names = [model.name for model in self.models]
        if unknown := sorted(set(self.learning_rates) - set(names)):
            raise ValueError(f"learning_rates names {unknown}, the models are {names}")
        for part in self.sets:
            for model in self.models:
                try:
                    self.recipe(part, model)
                except ConfigError as cause:
                    raise ValueError(str(cause)) from cause
        return self

    def recipe(self, part: ComparedSet, model: Options) -> Recipe:
        """
        The recipe of one pair.

        Raises:
            ConfigError: the budget holds what no recipe knows.
        """
        recipe = Recipe.from_mapping(
            {
                **self.budget,
                "preprocess": part.preprocess.model_dump(),
                "augmentation": part.augmentation and part.augmentation.model_dump(),
                "model": model.model_dump(),
            },
            "budget",
        )
        if (rate := self.learning_rates.get(model.name)) is None:
            return recipe
        phases = tuple(phase.model_copy(update={"learning_rate": rate}) for phase in recipe.phases)
        return recipe.model_copy(update={"phases": phases})
