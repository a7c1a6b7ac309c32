"""Which of the open keys mattered, as far as a few trials can say."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from lucency.config.tune import Range
from lucency.search import space
from lucency.search.outcome import Outcome

# With fewer, shares moved by a half from one draw of trials to the next on a known function.
FEWEST = 12


@dataclass(frozen=True)
class Importance:
    """
    Attributes:
        shares: Of the variance among trials that each key explains, together 1; empty if unknown.
        epoch: After which trials were compared: the last that all of them reached.
        why: Why it is unknown, if it is.
    """

    shares: Mapping[str, float]
    epoch: int = 0
    why: str = ""


def importance(ranges: Mapping[str, Range], outcomes: Sequence[Outcome], column: str) -> Importance:
    """
    Functional analysis of variance (Hutter, Hoos and Leyton-Brown, 2014) over a random forest.

    All trials are compared after the same epoch: their final figures would show who was stopped.

    Args:
        column: Of the history, what an epoch is worth.
    """
    known = [each for each in outcomes if each.interval is not None and each.history]
    if len(known) < FEWEST:
        return Importance({}, why=f"{len(known)} trials are too few, it takes {FEWEST}")
    epoch = min(len(each.history) for each in known)
    reached = [each.history[epoch - 1][column] for each in known]
    if len(set(reached)) == 1:
        return Importance({}, why=f"all trials were equally good after epoch {epoch}")
    optuna.logging.set_verbosity(logging.ERROR)
    study = optuna.create_study(direction="maximize")
    distributions = space.distributions(ranges)
    for each, value in zip(known, reached, strict=True):
        params = {path: _stored(ranges[path], found) for path, found in each.values.items()}
        study.add_trial(create_trial(params=params, distributions=distributions, value=value))
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return Importance({path: float(share) for path, share in found.items()}, epoch)


def _stored(found: Range, value: object) -> object:
    return value if found.choice is None else space.label(value)
