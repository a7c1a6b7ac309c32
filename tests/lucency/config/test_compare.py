"""A comparison is refused before anything starts if one of its pairs is no recipe."""

from typing import Any

import pytest

from lucency.config.compare import CompareConfig
from lucency.errors import ConfigError

RAW: dict[str, Any] = {
    "sets": [
        {
            "name": "digits",
            "table": "work/digits",
            "preprocess": {"size": 32, "color": "L", "mean": [0.5], "std": [0.5]},
        }
    ],
    "models": [{"name": "small", "width": 8}, "lenet5"],
    "budget": {
        "loss": "cross_entropy",
        "optimizer": "adamw",
        "phases": [{"epochs": 2, "learning_rate": 0.01}],
    },
    "learning_rates": {"lenet5": 0.5},
    "output": "work/compare",
}


def test_pairs_share_everything_but_the_network() -> None:
    """Budget and preprocessing are the same in every recipe; a rate of its own is a model's."""
    config = CompareConfig.from_mapping(RAW, "tests")

    small, lenet = (config.recipe(config.sets[0], model) for model in config.models)

    assert (small.model.name, lenet.model.name) == ("small", "lenet5")
    assert (small.phases[0].learning_rate, lenet.phases[0].learning_rate) == (0.01, 0.5)
    assert small.preprocess == lenet.preprocess == config.sets[0].preprocess
    assert small.loss == lenet.loss
    assert small.augmentation is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"budget": {**RAW["budget"], "batch_sise": 8}}, "batch_sise"),
        ({"learning_rates": {"lenet": 0.1}}, "learning_rates names"),
        ({"models": ["lenet55"]}, "lenet55"),
        ({"models": []}, "models"),
    ],
)
def test_mistake_is_named(changes: dict[str, Any], expected: str) -> None:
    """A typo inside of the budget or a rate of nobody costs no start of workers."""
    with pytest.raises(ConfigError, match=expected):
        CompareConfig.from_mapping({**RAW, **changes}, "tests")
