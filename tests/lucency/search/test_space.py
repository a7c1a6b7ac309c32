"""What is drawn is what the configuration allows, and comes back as it was written."""

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from lucency.config.tune import Range
from lucency.search import space


@pytest.mark.parametrize(
    ("found", "distribution"),
    [
        (Range(uniform=(0.1, 0.5)), FloatDistribution(0.1, 0.5)),
        (Range(log_uniform=(1e-4, 1e-2)), FloatDistribution(1e-4, 1e-2, log=True)),
        (Range(integer=(8, 32), step=8), IntDistribution(8, 32, step=8)),
        (Range(choice=("bce", None, 3)), CategoricalDistribution(["bce", None, 3])),
    ],
)
def test_range_is_its_distribution(found: Range, distribution: Any) -> None:
    """Each kind of range is drawn from the distribution of that name."""
    assert space.distributions({"key": found}) == {"key": distribution}


def test_options_come_back_from_storage() -> None:
    """A component's options, which Optuna can't store, are the mapping again once drawn."""
    choices = ("bce", {"name": "focal", "gamma": 2.0}, {"name": "focal", "gamma": 1.0})
    ranges = {"recipe.loss": Range(choice=choices)}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    drawn = [study.ask(space.distributions(ranges)).params for _ in range(20)]

    values = [space.values(ranges, each)["recipe.loss"] for each in drawn]
    assert all(any(value == choice for choice in choices) for value in values)
    assert {str(value) for value in values} == {str(choice) for choice in choices}
