"""The rule's place among Tune's schedulers: it ends no trial that ends by itself."""

from typing import Any

import ray
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from lucency import progress


class Backstop(FIFOScheduler):
    """
    Trials go on, also those that the referee has told to stop, since they do so in their loop and
    free their workers in order; only one that trains another epoch after that is ended by force.
    """

    def __init__(self, judge: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._judge = judge

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called by Tune for each report of a trial."""
        told = ray.get(self._judge.stopped_at.remote(result["run"]))
        if told is not None and int(result["epoch"]) > told:
            progress.say(f"    {result['run']} goes on after it was told to stop: it is ended")
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)
