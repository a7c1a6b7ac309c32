"""The best trial, trained again with other seeds before anybody calls it best."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lucency import files, progress
from lucency.config.train import Recipe, TrainConfig
from lucency.config.tune import TuneConfig
from lucency.evaluation.intervals import Interval
from lucency.search import outcome
from lucency.search.outcome import Outcome, Validation
from lucency.training import several, trainer
from lucency.training.several import Wanted
from lucency.training.trainer import Run

CONFIRMATIONS = "confirmations"
CONFIG = "winner.yaml"


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
    config: TuneConfig,
    ranked: Sequence[Outcome],
    table: str,
    validation: Validation,
    concurrent: int,
) -> Winner:
    """
    Train the first of the ranked trials again with other seeds; finished ones are kept.

    Args:
        table: Where any process of the cluster finds it.
    """
    best = ranked[0]
    recipe = config.recipe(best.values)
    # One folder a trial: a search that goes on may choose another one.
    runs = config.output.absolute() / CONFIRMATIONS / best.folder.name
    wanted = [
        Wanted(
            f"seed {number}",
            recipe.model_copy(update={"seed": number}),
            table,
            runs,
            f"seed_{number}",
        )
        for number in range(recipe.seed + 1, recipe.seed + 1 + config.confirm_seeds)
    ]
    found = several.train(wanted, concurrent, meter="confirm", ended=_told)
    confirmations = tuple(
        _confirmation(each, run, validation) for each, run in zip(wanted, found, strict=True)
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


def _told(wanted: Wanted, found: Run | str) -> None:
    if isinstance(found, str):
        progress.say(f"    {wanted.label} failed: {found}")


def _confirmation(wanted: Wanted, found: Run | str, validation: Validation) -> Confirmation:
    number, epochs = wanted.recipe.seed, len(trainer.history(wanted.folder))
    if isinstance(found, str):
        return Confirmation(number, wanted.folder, None, epochs, found)
    _, interval, _ = outcome.measured(found, wanted.recipe, validation)
    progress.say(
        f"    {wanted.label}: {interval.value:.4f} ({interval.lower:.4f} to {interval.upper:.4f})"
    )
    return Confirmation(number, wanted.folder, interval, epochs)
