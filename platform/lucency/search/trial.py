"""What runs beside a trial's workers: it starts them, waits, and tells Tune of every epoch."""

import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from ray import tune

from lucency.config.train import Recipe
from lucency.errors import LucencyError, TrainingError
from lucency.search import outcome
from lucency.training import identity, trainer

_POLL_S = 0.5
# On a cluster that outlives a killed driver, what it had started dies seconds after it.
_HELD_S = 120.0


def body(settings: dict[str, Any]) -> None:
    """
    One trial as Tune calls it.

    Args:
        settings: ``recipe``, ``table``, ``runs``, ``name`` and ``referee``; plain values.
    """
    runs, name = Path(settings["runs"]), settings["name"]
    told = 0
    with ThreadPoolExecutor(1) as beside:
        fitting = beside.submit(fit, **settings)
        while not fitting.done():
            wait([fitting], timeout=_POLL_S)
            for row in outcome.history(runs / name)[told:]:
                told += 1
                tune.report({"run": name, "epoch": int(row["epoch"]), "failed": ""})
    if why := fitting.result():
        tune.report({"run": name, "epoch": told, "failed": why})


def fit(
    recipe: dict[str, Any], table: str, runs: str, name: str, referee: str | None = None
) -> str:
    """
    Train one run, or go on with it; why it failed, or nothing.

    An error of ours is an answer, not a death: starting again would lead to the same end.
    """
    _await_free(Path(runs) / name)
    try:
        checked = Recipe.from_mapping(recipe, "trial")
        trainer.fit(checked, table, Path(runs), name=name, referee=referee)
    except LucencyError as failure:
        return str(failure).strip().splitlines()[-1]
    return ""


def _await_free(folder: Path) -> None:
    """Until nobody works on the run; if that takes too long, the trainer will say who does."""
    patience = time.monotonic() + _HELD_S
    while time.monotonic() < patience:
        try:
            with identity.owned(folder):
                return
        except TrainingError:
            time.sleep(_POLL_S)
