"""Ranges of a configuration as Optuna's distributions, and what it drew as values of a recipe."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from lucency import files
from lucency.config.tune import Range


def distributions(space: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """What each open key is drawn from."""
    return {path: _distribution(found) for path, found in space.items()}


def values(space: Mapping[str, Range], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe is given for the parameters of an Optuna trial."""
    return {path: _value(space[path], found) for path, found in drawn.items()}


def label(value: Any) -> str | int | float | bool | None:
    """A choice as Optuna stores it: itself, or canonical JSON where it is a component's options."""
    if value is None or isinstance(value, str | int | float):
        return value
    return files.canonical(value)


def _distribution(found: Range) -> BaseDistribution:
    if found.uniform is not None:
        return FloatDistribution(*found.uniform)
    if found.log_uniform is not None:
        return FloatDistribution(*found.log_uniform, log=True)
    if found.integer is not None:
        return IntDistribution(*found.integer, step=found.step)
    assert found.choice is not None, "one kind is given"
    return CategoricalDistribution([label(value) for value in found.choice])


def _value(found: Range, drawn: Any) -> Any:
    if found.choice is None:
        return drawn
    return next(value for value in found.choice if label(value) == drawn)
