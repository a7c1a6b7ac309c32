"""What runs beside a trial's workers: it starts them, waits, and tells Tune of every epoch."""

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from ray import tune

from lucency.training import several, trainer

_POLL_S = 0.5


def body(settings: dict[str, Any]) -> None:
    """
    One trial as Tune calls it.

    Args:
        settings: ``recipe``, ``table``, ``runs``, ``name`` and ``referee``; plain values.
    """
    runs, name = Path(settings["runs"]), settings["name"]
    told = 0
    with ThreadPoolExecutor(1) as beside:
        fitting = beside.submit(several.fit, **settings)
        while not fitting.done():
            wait([fitting], timeout=_POLL_S)
            for row in trainer.history(runs / name)[told:]:
                told += 1
                tune.report({"run": name, "epoch": int(row["epoch"]), "failed": ""})
    if why := fitting.result():
        tune.report({"run": name, "epoch": told, "failed": why})
