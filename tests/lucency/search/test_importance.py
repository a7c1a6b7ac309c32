"""What mattered is said where trials are enough, and not where they are not."""

from pathlib import Path

import numpy as np

from lucency.config.train import Recipe
from lucency.config.tune import Range
from lucency.search.importance import FEWEST, importance
from lucency.search.outcome import Outcome
from tests.lucency.search import runs

RANGES = {
    "rate": Range(log_uniform=(1e-4, 1e-1)),
    "loss": Range(choice=("bce", {"name": "focal", "gamma": 2.0})),
}
COLUMN = "sensitivity_at_specificity"


def trials(folder: Path, recipe: Recipe, count: int) -> list[Outcome]:
    """Trials whose first epoch depends on the rate; later ones on nothing."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        rate = float(10 ** generator.uniform(-4, -1))
        loss = RANGES["loss"].ends[number % 2]
        values = [1 + np.log10(rate) / 5, *generator.uniform(size=number % 2)]
        given = {"rate": rate, "loss": loss}
        found.append(
            runs.trial(
                folder, number, recipe, runs.validation(), wrong=0, values=values, given=given
            )
        )
    return found


def test_key_that_decides_has_the_largest_share(tmp_path: Path, recipe: Recipe) -> None:
    """Trials are compared after the last epoch that all reached, here the first."""
    found = importance(RANGES, trials(tmp_path, recipe, 16), COLUMN)

    assert found.epoch == 1
    assert found.shares["rate"] > 0.9
    assert abs(sum(found.shares.values()) - 1) < 1e-6


def test_too_few_trials_are_said_to_be_too_few(tmp_path: Path, recipe: Recipe) -> None:
    """No share is given that a few more trials would turn over."""
    found = importance(RANGES, trials(tmp_path, recipe, FEWEST - 1), COLUMN)

    assert found.shares == {}
    assert found.why == f"{FEWEST - 1} trials are too few, it takes {FEWEST}"


def test_equal_trials_say_nothing(tmp_path: Path, recipe: Recipe) -> None:
    """Where all trials are equally good, there is no variance to explain."""
    found = [
        runs.trial(
            tmp_path, number, recipe, runs.validation(), wrong=0, values=[0.5],
            given={"rate": 0.01 + number / 1000, "loss": "bce"},
        )
        for number in range(FEWEST)
    ]  # fmt: skip

    assert "equally good after epoch 1" in importance(RANGES, found, COLUMN).why
