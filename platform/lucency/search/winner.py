"""The best trial, trained again with other seeds before anybody calls it best."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray

from lucency import files, progress
from lucency.config.train import Recipe, TrainConfig
from lucency.config.tune import TuneConfig
from lucency.evaluation.intervals import Interval
from lucency.search import outcome, trial
from lucency.search.outcome import Outcome, Validation
from lucency.training import trainer

CONFIRMATIONS = "confirmations"
CONFIG = "winner.yaml"
_POLL_S = 0.5


@dataclass(frozen=True)
class Confirmation:
    """The winner's recipe with another seed; without a figure where it failed."""

    seed: int
    folder: Path
    interval: Interval | None
    epochs: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Winner:
    """
    The best trial and what holds of it.

    Attributes:
        runner_up: The second best, if there is one.
    """

    trial: Outcome
    recipe: Recipe
    confirmations: tuple[Confirmation, ...] = ()
    runner_up: Outcome | None = None

    @property
    def values(self) -> list[float]:
        """What the confirmations reached."""
        return [each.interval.value for each in self.confirmations if each.interval is not None]

    @property
    def mean(self) -> float | None:
        """Over other seeds than the one that was chosen among trials, so free of that choice."""
        return float(np.mean(self.values)) if self.values else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over those seeds."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def contested(self) -> bool:
        """Whether the runner-up's interval holds what the winner reached."""
        runner_up, own = self.runner_up, self.trial.interval
        if runner_up is None or runner_up.interval is None or own is None:
            return False
        reached = own.value if self.mean is None else self.mean
        return runner_up.interval.upper >= reached

    @property
    def verdict(self) -> str:
        """In one sentence, whether it is better than the rest."""
        if self.runner_up is None:
            return "No other trial was measured, so nothing says that it is better than another."
        name = self.runner_up.folder.name
        if self.contested:
            return (
                f"These films can't tell it from {name}, whose interval reaches as high: take "
                "either, or decide on more patients."
            )
        return f"The interval of the runner-up, {name}, ends under it."


def confirmed(
    config: TuneConfig, ranked: Sequence[Outcome], validation: Validation, concurrent: int
) -> Winner:
    """Train the first of the ranked trials again with other seeds; finished ones are kept."""
    best = ranked[0]
    recipe = config.recipe(best.values)
    # One folder a trial: a search that goes on may choose another one.
    runs = config.output.absolute() / CONFIRMATIONS / best.folder.name
    seeds = [recipe.seed + 1 + place for place in range(config.confirm_seeds)]
    waiting = [recipe.model_copy(update={"seed": number}) for number in seeds]
    found = _train(waiting, str(config.base.table), runs, concurrent)
    confirmations = tuple(
        _confirmation(each, runs, why, validation) for each, why in zip(waiting, found, strict=True)
    )
    runner_up = ranked[1] if len(ranked) > 1 else None
    return Winner(best, recipe, confirmations, runner_up)


def write(config: TuneConfig, winner: Winner) -> Path:
    """The configuration of the winner, as ``jobs/train.py`` takes it."""
    base = config.base
    ready = TrainConfig(
        table=base.table, runs=base.runs, tracking=base.tracking, recipe=winner.recipe
    )
    path = config.output / CONFIG
    header = (
        f"# {winner.trial.folder.name} of the search in {config.output}, "
        f"{len(winner.confirmations)} times trained again.\n#\n"
        f"#   python jobs/train.py {path}\n"
    )
    files.write_text(path, header + ready.to_yaml())
    return path


def _name(recipe: Recipe) -> str:
    return f"seed_{recipe.seed}"


def _train(recipes: Sequence[Recipe], table: str, runs: Path, concurrent: int) -> list[str]:
    """Train all, some at a time; for each why it failed, or nothing."""
    waiting = list(enumerate(recipes))
    running: dict[Any, int] = {}
    failures = [""] * len(recipes)
    with progress.meter("confirm", sum(each.epochs for each in recipes), "epochs") as bar:
        while waiting or running:
            while waiting and len(running) < concurrent:
                place, recipe = waiting.pop(0)
                reference = _fit.remote(recipe.plain(), table, str(runs), _name(recipe))
                running[reference] = place
            done, _ = ray.wait(list(running), timeout=_POLL_S)
            for reference in done:
                place = running.pop(reference)
                failures[place] = _ended(reference)
            bar.n = sum(len(outcome.history(runs / _name(each))) for each in recipes)
            bar.update(0)
    return failures


# It starts a trainer, whose workers are what needs CPUs.
_fit = ray.remote(num_cpus=0, max_retries=2)(trial.fit)


def _ended(reference: Any) -> str:
    try:
        return str(ray.get(reference))
    except ray.exceptions.RayError as cause:
        return str(cause).strip().splitlines()[-1]


def _confirmation(recipe: Recipe, runs: Path, why: str, validation: Validation) -> Confirmation:
    folder = runs / _name(recipe)
    if why:
        progress.say(f"    seed {recipe.seed} failed: {why}")
        return Confirmation(recipe.seed, folder, None, len(outcome.history(folder)), why)
    _, interval, _ = outcome.measured(trainer.Run.open(folder), recipe, validation)
    progress.say(
        f"    seed {recipe.seed}: {interval.value:.4f} ({interval.lower:.4f} to "
        f"{interval.upper:.4f})"
    )
    return Confirmation(recipe.seed, folder, interval, len(outcome.history(folder)))
