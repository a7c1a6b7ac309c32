"""What was drawn and what came of it: an Optuna study in a file, which outlives its driver."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import BaseTrial, FrozenTrial, TrialState

from lucency import seed
from lucency.config.tune import TuneConfig
from lucency.errors import SearchError
from lucency.search import space
from lucency.search.outcome import Outcome

FILE = "study.db"
_NAME = "search"
_IDENTITY = "identity"


@dataclass(frozen=True)
class Drawn:
    """Values of one trial, and its number from 0."""

    number: int
    values: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the trial's run."""
        return f"trial_{self.number:03d}"


class Study:
    """
    Draws values by a tree-structured Parzen estimator over all keys together.

    Every change is in the file before it counts, and what is drawn follows from the file and the
    seed alone: a search that is killed goes on as if it had not been.
    """

    def __init__(self, config: TuneConfig, data_digest: str) -> None:
        optuna.logging.set_verbosity(logging.ERROR)
        path = config.output.absolute() / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        self._config = config
        self._distributions = space.distributions(config.space)
        self._study = optuna.create_study(
            storage=RDBStorage(f"sqlite:///{path}"),
            study_name=_NAME,
            direction="maximize",
            load_if_exists=True,
        )
        self._settle({**config.identity, "data": data_digest}, path)

    def drawn(self) -> list[Drawn]:
        """All trials so far, in order of their numbers."""
        return [self._named(trial) for trial in self.trials()]

    def unfinished(self) -> list[Drawn]:
        """Those that were begun and of which nothing came yet."""
        return [self._named(each) for each in self.trials() if each.state is TrialState.RUNNING]

    def trials(self) -> list[FrozenTrial]:
        """As Optuna has them."""
        return self._study.get_trials(deepcopy=False)

    def draw(self) -> Drawn:
        """The next trial's values."""
        number = len(self.trials())
        self._study.sampler = TPESampler(
            n_startup_trials=self._config.startup_trials,
            multivariate=True,
            # Trials that still run count as bad, so that those beside them look elsewhere.
            constant_liar=True,
            seed=seed.derive(self._config.seed, "trial", number),
        )
        return self._named(self._study.ask(self._distributions))

    def tell(self, drawn: Drawn, outcome: Outcome) -> None:
        """
        What became of a trial; only the first answer counts.

        A trial is worth what ranks it. A stopped one is worth less than any that went to the end,
        and more the longer it ran.
        """
        trial = self.trials()[drawn.number]
        if trial.state is not TrialState.RUNNING:
            return
        if math.isnan(outcome.standing):
            self._study.tell(drawn.number, state=TrialState.FAIL)
        elif outcome.state == "stopped":
            handle = optuna.trial.Trial(self._study, trial._trial_id)
            handle.report(outcome.standing, outcome.epochs)
            self._study.tell(drawn.number, state=TrialState.PRUNED)
        else:
            self._study.tell(drawn.number, outcome.standing)

    def _named(self, trial: BaseTrial | FrozenTrial) -> Drawn:
        return Drawn(trial.number, space.values(self._config.space, trial.params))

    def _settle(self, wanted: Mapping[str, Any], path: Path) -> None:
        found = self._study.user_attrs.get(_IDENTITY)
        if found is None:
            self._study.set_user_attr(_IDENTITY, dict(wanted))
        elif differing := sorted(key for key in wanted if found.get(key) != wanted[key]):
            raise SearchError(
                f"{str(path.parent)!r} holds a search with another {', another '.join(differing)}: "
                "its trials can't be held against new ones; name another output, or delete it"
            )
