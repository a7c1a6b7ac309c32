"""What ``jobs/tune.py`` may be told: a recipe, which of its values are open, and how long."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from lucency import seed
from lucency.config.node import Node
from lucency.config.stopping import Stopping
from lucency.config.train import Recipe, TrainConfig
from lucency.errors import ConfigError

# What trials are measured with, and what must not change a result: open, it would be the yardstick
# that the search improves.
_CLOSED = {
    "rule": "it is what trials are judged by",
    "selection": "it is what epochs are ranked by",
    "seed": "a lucky seed is not a better recipe; the winner is trained with several",
    "scaling": "it must not decide what is learned; set it in the base recipe",
}
# More combinations of ends than this are sampled.
_COMBINATIONS = 256


class Range(Node):
    """
    The values that a search may give to one key: exactly one of the four kinds.

    Attributes:
        uniform: Lowest and highest of a real number.
        log_uniform: The same on a logarithmic scale, as rates want it.
        integer: ``int`` in YAML: lowest and highest of a whole number, both included.
        step: Distance between whole numbers.
        choice: Any values; of components (``recipe.optimizer``) names or whole options.
    """

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True)

    uniform: tuple[float, float] | None = None
    log_uniform: tuple[float, float] | None = None
    integer: Annotated[tuple[int, int] | None, Field(alias="int")] = None
    step: Annotated[int, Field(ge=1)] = 1
    choice: Annotated[tuple[Any, ...], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> "Range":
        kinds = {
            "uniform": self.uniform,
            "log_uniform": self.log_uniform,
            "int": self.integer,
            "choice": self.choice,
        }
        given = [name for name, value in kinds.items() if value is not None]
        if len(given) != 1:
            raise ValueError(f"found {given or 'no kind'}, expected exactly one of {list(kinds)}")
        if self.choice is None:
            low, high = self.ends
            if low >= high:
                raise ValueError(f"{given[0]}: the lowest value {low!r} is not under {high!r}")
        elif any(value in self.choice[:place] for place, value in enumerate(self.choice)):
            raise ValueError(f"choice: a value stands twice in {list(self.choice)}")
        if self.log_uniform is not None and self.log_uniform[0] <= 0:
            raise ValueError(f"log_uniform: the lowest value {self.log_uniform[0]!r} has no log")
        if self.step != 1 and self.integer is None:
            raise ValueError(f"step: {self.step} is for int, the kind here is {given[0]}")
        if self.integer is not None and (self.integer[1] - self.integer[0]) % self.step:
            raise ValueError(
                f"step: {self.step} does not lead from {self.integer[0]} to {self.integer[1]}"
            )
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """The lowest and the highest value, or every choice."""
        found = self.uniform or self.log_uniform or self.integer or self.choice
        assert found is not None, "one kind is given"
        return found


def _flat(raw: Any) -> Any:
    """``{recipe: {model: {width: RANGE}}}``, as the command line makes it, by dotted path."""
    if not isinstance(raw, Mapping):
        return raw
    return {".".join(path): value for path, value in _leaves(raw, ())}


def _leaves(raw: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in raw.items():
        here = (*path, str(key))
        # A range holds numbers and lists; a mapping of mappings is a stretch of the path.
        if (
            isinstance(value, Mapping)
            and value
            and all(isinstance(x, Mapping) for x in value.values())
        ):
            yield from _leaves(value, here)
        else:
            yield here, value


Space = Annotated[dict[str, Range], Field(min_length=1), BeforeValidator(_flat)]


class TuneConfig(Node):
    """
    A search: trials of one recipe, each with other values at the open keys.

    Attributes:
        train: The configuration of ``jobs/train.py`` that every trial starts from: recipe, table.
        overrides: Changes to it, ``a.b=c``, as on that job's command line.
        space: What is open: a path in it, such as ``recipe.phases.0.learning_rate``, and its range.
        trials: How many are drawn in all.
        concurrent: How many train at a time, where the cluster holds the workers of so many.
        startup_trials: How many are drawn at random before the search learns from the others.
        stopping: When a trial is not worth its next epoch.
        time_budget_minutes: After so long no trial begins, and those that run stop with the epoch
            they are in; the winner is trained again all the same.
        confirm_seeds: How many times the winner is trained again, each time with another seed.
        output: Folder for trials, their study, the report and the winner's configuration.
    """

    train: Path
    overrides: tuple[str, ...] = ()
    space: Space
    trials: Annotated[int, Field(ge=1)]
    concurrent: Annotated[int, Field(ge=1)] = 1
    startup_trials: Annotated[int, Field(ge=1)] = 8
    stopping: Stopping = Stopping()
    seed: Annotated[int, Field(ge=0)] = 0
    time_budget_minutes: Annotated[float, Field(gt=0)] | None = None
    confirm_seeds: Annotated[int, Field(ge=0)] = 3
    output: Path

    @cached_property
    def base(self) -> TrainConfig:
        """What every trial starts from."""
        return TrainConfig.from_file(self.train, self.overrides)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """
        What makes two searches the same, so that one can go on with the trials of the other.

        Budgets and concurrency are left out: a search may go on longer and wider.
        """
        recipe = {key: value for key, value in self.base.recipe.plain().items() if key != "scaling"}
        return {
            "recipe": recipe,
            "table": str(self.base.table),
            "space": {path: found.plain() for path, found in self.space.items()},
            "stopping": self.stopping.plain(),
            "startup_trials": self.startup_trials,
            "seed": self.seed,
        }

    def recipe(self, values: Mapping[str, Any]) -> Recipe:
        """
        The base recipe with values at open keys.

        Raises:
            ConfigError: they make no recipe.
        """
        raw = self.base.plain()
        for path, value in values.items():
            _put(raw, path, value)
        said = ", ".join(f"{path}={value!r}" for path, value in values.items())
        recipe = TrainConfig.from_mapping(raw, f"space, at {said}").recipe
        if recipe.epochs != self.base.recipe.epochs:
            raise ConfigError(
                f"space, at {said}: {recipe.epochs} epochs, the base recipe has "
                f"{self.base.recipe.epochs}; trials are held against one another epoch by epoch, "
                "so that all need the same number"
            )
        return recipe

    @model_validator(mode="after")
    def _every_corner_is_a_recipe(self) -> "TuneConfig":
        try:
            for path in self.space:
                _refuse_closed(path, self.space)
            for path, found in self.space.items():
                for value in found.ends:
                    self.recipe({path: value})
            for corner in _corners(self.space):
                self.recipe(corner)
        except ConfigError as cause:
            raise ValueError(str(cause)) from cause
        return self


def _refuse_closed(path: str, space: Mapping[str, Range]) -> None:
    root, _, rest = path.partition(".")
    key = rest.split(".")[0]
    if root != "recipe" or not rest:
        raise ConfigError(
            f"space.{path}: found a path outside of the recipe, expected one such as "
            "recipe.phases.0.learning_rate"
        )
    if key in _CLOSED:
        raise ConfigError(f"space.{path}: {key} can't be searched: {_CLOSED[key]}")
    if inside := [other for other in space if other.startswith(f"{path}.")]:
        raise ConfigError(
            f"space.{path}: {inside[0]} is a part of it, so that one would undo the other: leave "
            "one of them out"
        )


def _corners(space: Mapping[str, Range]) -> Iterator[dict[str, Any]]:
    """Combinations of ends: all of them, or some that a fixed seed draws."""
    ends = [found.ends for found in space.values()]
    combinations = 1
    for each in ends:
        combinations *= len(each)
    drawn: Iterator[Sequence[Any]] = itertools.product(*ends)
    if combinations > _COMBINATIONS:
        generator = seed.generator(0, "corners")
        drawn = (
            [each[generator.integers(len(each))] for each in ends] for _ in range(_COMBINATIONS)
        )
    for values in drawn:
        yield dict(zip(space, values, strict=True))


def _put(raw: dict[str, Any], path: str, value: Any) -> None:
    """Set a value in a resolved configuration; whether the key exists, the model will judge."""
    *parents, last = path.split(".")
    here: Any = raw
    for place, part in enumerate(parents):
        if isinstance(here, dict) and here.get(part) is None:
            here[part] = {}
        here = here[_key(here, part, path)]
        if not isinstance(here, dict | list):
            said = ".".join(parents[: place + 1])
            raise ConfigError(f"space.{path}: {said} is {here!r} in the base, it has no keys")
    here[_key(here, last, path)] = value


def _key(here: Any, part: str, path: str) -> str | int:
    if isinstance(here, dict):
        return part
    if not part.isdecimal() or int(part) >= len(here):
        raise ConfigError(f"space.{path}: {part!r} is not a position in a list of {len(here)}")
    return int(part)
