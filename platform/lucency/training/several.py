"""Several runs at a time, each by a trainer of its own in a Ray task."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from lucency import progress
from lucency.config.train import Recipe
from lucency.errors import LucencyError, TrainingError
from lucency.training import identity, trainer
from lucency.training.trainer import Run

_POLL_S = 0.5
# On a cluster that outlives a killed driver, what it had started dies seconds after it.
_HELD_S = 120.0


@dataclass(frozen=True)
class Wanted:
    """
    A run to be trained, or gone on with.

    Attributes:
        label: For people.
        run: Name of its folder.
    """

    label: str
    recipe: Recipe
    table: str
    runs: Path
    run: str

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.runs / self.run


def train(
    wanted: Sequence[Wanted],
    concurrent: int,
    *,
    meter: str,
    ended: Callable[[Wanted, Run | str], None],
) -> list[Run | str]:
    """
    Train all of them, so many at a time; finished runs are taken as they are.

    Args:
        meter: What the bar over all epochs is called.
        ended: Told of each as it ends.

    Returns:
        For each its finished run, or why there is none.
    """
    waiting = list(enumerate(wanted))
    running: dict[Any, int] = {}
    found: list[Run | str] = [""] * len(wanted)
    with progress.meter(meter, sum(each.recipe.epochs for each in wanted), "epochs") as bar:
        while waiting or running:
            while waiting and len(running) < concurrent:
                place, each = waiting.pop(0)
                progress.say(f"    {each.label}")
                asked = _fit.remote(each.recipe.plain(), each.table, str(each.runs), each.run)
                running[asked] = place
            done, _ = ray.wait(list(running), timeout=_POLL_S)
            for asked in done:
                place = running.pop(asked)
                found[place] = _outcome(asked, wanted[place])
                ended(wanted[place], found[place])
            bar.n = sum(len(trainer.history(each.folder)) for each in wanted)
            bar.update(0)
    return found


def fit(
    recipe: dict[str, Any], table: str, runs: str, name: str, referee: str | None = None
) -> str:
    """
    Train one run, or go on with it; why it failed, or nothing.

    An error of ours is an answer, not a death: starting again would lead to the same end.
    """
    _await_free(Path(runs) / name)
    try:
        checked = Recipe.from_mapping(recipe, "recipe")
        trainer.fit(checked, table, Path(runs), name=name, referee=referee)
    except LucencyError as failure:
        return str(failure).strip().splitlines()[-1]
    return ""


# It starts a trainer, whose workers are what needs CPUs.
_fit = ray.remote(num_cpus=0, max_retries=2)(fit)


def _outcome(asked: Any, wanted: Wanted) -> Run | str:
    try:
        why = str(ray.get(asked))
    except ray.exceptions.RayError as cause:
        why = str(cause).strip().splitlines()[-1]
    return why or Run.open(wanted.folder)


def _await_free(folder: Path) -> None:
    """Until nobody works on the run; if that takes too long, the trainer will say who does."""
    patience = time.monotonic() + _HELD_S
    while time.monotonic() < patience:
        try:
            with identity.owned(folder):
                return
        except TrainingError:
            time.sleep(_POLL_S)
