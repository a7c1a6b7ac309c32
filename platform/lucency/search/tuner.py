"""
The trials of a search on Ray Tune, each of them a run on Ray Train.

Tune draws and starts trials; it ends none that goes on as it was told. A trial stops inside its
own loop, so that its workers leave by themselves: ended from outside, they would keep their CPUs.
"""

import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from lucency import cluster, progress
from lucency.config.train import Scaling
from lucency.config.tune import TuneConfig
from lucency.search import outcome, trial, words
from lucency.search.backstop import Backstop
from lucency.search.outcome import Outcome, Validation
from lucency.search.study import Drawn, Study
from lucency.training import feeding, trainer

TRIALS = "trials"
_TUNE = "tune"
# What starts a trial needs no CPU of its own, but Tune refuses a trial without any resource. On
# CPUs that fit the workers exactly, a hundredth of one would leave a worker waiting for ever.
_STARTER: dict[str, float] = {"cpu": 0, "memory": 2**20}
# A dead starter is replaced, and goes on with its run.
_MAX_STARTER_DEATHS = 1
_SETTINGS = {
    # A trial's page and figures are written by its own run.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Tune's tables would stand between the lines for people, and on stdout.
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass
class Search:
    """
    What the trials of one search share while they run.

    Attributes:
        table: Where any process of the cluster finds it, whatever folder that works in.
        outcomes: Of trials that ended, by number.
        running: Trials that have begun, by number.
    """

    config: TuneConfig
    study: Study
    table: str
    validation: Validation
    referee_name: str
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    running: dict[int, Drawn] = field(default_factory=dict)
    closed: threading.Event = field(default_factory=threading.Event)

    @property
    def runs(self) -> Path:
        """Folder of the trials' runs."""
        return self.config.output.absolute() / TRIALS

    def look(self, drawn: Drawn) -> Outcome | None:
        """What came of a trial, if it has ended."""
        recipe = self.config.base.recipe
        return outcome.read(
            drawn.number, self.runs / drawn.name, drawn.values, recipe, self.validation
        )

    def settle(self, drawn: Drawn, found: Outcome) -> None:
        """Keep what came of a trial and tell the study."""
        self.running.pop(drawn.number, None)
        self.outcomes[drawn.number] = found
        self.study.tell(drawn, found)

    def epochs_settled(self) -> int:
        """Epochs that are trained or saved."""
        done = len(self.outcomes) * self.config.base.recipe.epochs
        return done + sum(
            len(trainer.history(self.runs / drawn.name)) for drawn in list(self.running.values())
        )


def room(scaling: Scaling, concurrent: int) -> int:
    """
    How many trials can train at a time, at most ``concurrent``; says so where it is fewer.

    Raises:
        ClusterError: this machine can't hold one trial.
    """
    cpus, gpus = feeding.cpus(scaling), scaling.fewest if scaling.gpu else 0
    cluster.require(cpus, gpus)
    there = ray.cluster_resources()
    fits = [there.get("CPU", 0.0) / cpus, *([there.get("GPU", 0.0) / gpus] if gpus else [])]
    # A sum of fractions of a CPU may be short of a whole one by its last digit.
    found = max(1, int(min(fits) + 1e-9))
    if found >= concurrent:
        return concurrent
    if cluster.shared():
        progress.say(
            f"    the cluster holds the workers of {found} trials now; others of {concurrent} at a "
            "time wait for it to grow"
        )
        return concurrent
    progress.say(
        f"    {found} trials at a time, not {concurrent}: each takes {cpus:g} CPU and {gpus:g} "
        f"GPU, this machine has {there.get('CPU', 0):g} and {there.get('GPU', 0):g}"
    )
    return found


def search(searched: Search, judge: Any, concurrent: int) -> None:
    """
    Train what is missing of all trials; those that have ended are taken as they are.

    Args:
        judge: The referee's handle.
    """
    config = searched.config
    for drawn in searched.study.drawn():
        if (found := searched.look(drawn)) is not None:
            searched.settle(drawn, found)
    waiting = searched.study.unfinished()
    missing = config.trials - len(searched.study.drawn()) + len(waiting)
    if len(searched.outcomes):
        progress.say(
            f"    {len(searched.outcomes)} trials have ended before, {missing} are to come"
        )
    if missing <= 0:
        return
    os.environ.update(_SETTINGS)
    # What Tune remembers of an earlier driver; the study knows it, and what came of it.
    shutil.rmtree(config.output.absolute() / _TUNE, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(trial.body, _STARTER),
        tune_config=tune.TuneConfig(
            search_alg=_Asker(searched, waiting),
            scheduler=Backstop(judge),
            num_samples=missing,
            max_concurrent_trials=concurrent,
            trial_dirname_creator=lambda started: started.config["name"],
        ),
        run_config=tune.RunConfig(
            name=_TUNE,
            storage_path=str(config.output.absolute()),
            failure_config=tune.FailureConfig(max_failures=_MAX_STARTER_DEATHS),
            verbose=0,
        ),
    )
    total = config.trials * config.base.recipe.epochs
    minutes = config.time_budget_minutes
    deadline = time.monotonic() + 60 * minutes if minutes else None
    with progress.meter("search", total, "epochs") as bar:

        def tick() -> None:
            bar.n = searched.epochs_settled()
            bar.set_postfix_str(f"{len(searched.outcomes)}/{config.trials} trials", refresh=False)
            bar.update(0)
            if deadline and time.monotonic() > deadline and not searched.closed.is_set():
                _close(searched, judge)

        cluster.attended(tuner.fit, tick)


def _close(searched: Search, judge: Any) -> None:
    searched.closed.set()
    reason = f"the search's {searched.config.time_budget_minutes:g} minutes are over"
    ray.get(judge.close.remote(reason))
    progress.say(f"    {reason}: no trial begins, those that run stop after their epoch")


class _Asker(Searcher):
    """
    Tune's way to the study.

    Ray's own adapter knows a trial's last report and no other, and goes on after a killed driver
    from a pickle of itself; here the study and the runs are what is known.
    """

    def __init__(self, searched: Search, waiting: Sequence[Drawn]) -> None:
        super().__init__()
        self._searched = searched
        self._waiting = list(waiting)
        self._drawn: dict[str, Drawn] = {}

    def suggest(self, trial_id: str) -> Any:
        searched = self._searched
        if searched.closed.is_set():
            return Searcher.FINISHED
        drawn = self._waiting.pop(0) if self._waiting else searched.study.draw()
        self._drawn[trial_id] = drawn
        searched.running[drawn.number] = drawn
        config = searched.config
        progress.say(f"    {drawn.name}: {words.said(drawn.values)}")
        return {
            "recipe": config.recipe(drawn.values).plain(),
            "table": searched.table,
            "runs": str(searched.runs),
            "name": drawn.name,
            "referee": searched.referee_name,
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """The referee has heard it already."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        searched, drawn = self._searched, self._drawn.pop(trial_id)
        found = searched.look(drawn)
        if found is None and result and result.get("failed"):
            folder = searched.runs / drawn.name
            found = outcome.failed(drawn.number, folder, drawn.values, result["failed"])
        if found is None:
            searched.running.pop(drawn.number, None)
            progress.say(
                f"    {drawn.name} was cut off: the process that started its workers died; the "
                "same command goes on from its checkpoint"
            )
            return
        searched.settle(drawn, found)
        progress.say(f"    {words.line(found)}")

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles what it was given, for a restore that is not used here.
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Tune keeps a copy of its searcher; what this one knows is in the study."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is kept, so nothing comes back."""
