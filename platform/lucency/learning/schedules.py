"""
The learning rate over a phase, as a factor of the phase's own; one call a step.

Each schedule is a pure function of where the phase stands: what it would have to remember can be
read off ``At``, so a run that goes on after a restart takes the very same rates.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from lucency.registry import Family

schedules: Family[float] = Family("schedule", "lucency.learning.schedules")

WarmUp = Annotated[float, Field(ge=0, lt=1)]
Rest = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class At:
    """
    Where a phase stands.

    Attributes:
        step: Steps of the phase that were taken before this one.
        steps: All steps of the phase.
        scores: Of the phase's finished epochs, in order; higher is better.
    """

    step: int
    steps: int
    scores: tuple[float, ...] = ()


@schedules.register("constant")
def constant(at: At, *, warm_up: WarmUp = 0.0) -> float:
    """The full rate all the way; ``warm_up`` as for ``cosine``."""
    return _rise(at, int(warm_up * at.steps))


@schedules.register("cosine")
def cosine(at: At, *, warm_up: WarmUp = 0.1) -> float:
    """
    Linear up, then half a cosine down to zero.

    Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983, without restarts.

    Args:
        warm_up: Share of the steps in which the rate rises from zero.
    """
    rising = int(warm_up * at.steps)
    if at.step < rising:
        return _rise(at, rising)
    done = (at.step - rising) / max(1, at.steps - rising)
    return _eased(1.0, 0.0, done)


@schedules.register("triangle")
def triangle(at: At, *, warm_up: WarmUp = 0.25, end: WarmUp = 0.0) -> float:
    """
    Linear up, then linear down: the one-cycle policy of Smith and Topin, 2018,
    https://arxiv.org/abs/1708.07120, with straight sides.

    Args:
        warm_up: Share of the steps in which the rate rises from zero.
        end: Factor that is left after the last step.
    """
    rising = int(warm_up * at.steps)
    if at.step < rising:
        return _rise(at, rising)
    done = min(1.0, (at.step - rising) / max(1, at.steps - rising))
    return 1 - (1 - end) * done


@schedules.register("one_cycle")
def one_cycle(at: At, *, warm_up: WarmUp = 0.3, start: Rest = 0.04, end: Rest = 4e-6) -> float:
    """
    Half a cosine up, half a cosine down to far below the start: the one-cycle policy of Smith and
    Topin, 2018, https://arxiv.org/abs/1708.07120, as PyTorch's ``OneCycleLR`` shapes it.

    Momentum is left as it is: the policy's other half is for SGD alone.

    Args:
        warm_up: Share of the steps in which the rate rises.
        start: Factor at the first step.
        end: Factor at the last step.
    """
    peak, last = warm_up * at.steps - 1, at.steps - 1
    if at.step <= peak:
        return _eased(start, 1.0, at.step / peak if peak > 0 else 1.0)
    return _eased(1.0, end, (at.step - peak) / (last - peak))


@schedules.register("reduce_on_plateau")
def reduce_on_plateau(
    at: At,
    *,
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1,
    patience: Annotated[int, Field(ge=0)] = 2,
    threshold: Annotated[float, Field(ge=0)] = 1e-4,
    warm_up: WarmUp = 0.0,
) -> float:
    """
    The full rate, times ``factor`` whenever the score has stopped to rise.

    Args:
        patience: Epochs without a better score that are borne; the next one reduces. Less than
            the recipe's own ``patience``, or the run stops first.
        threshold: By how much a score must exceed the best one to count as better.
        warm_up: As for ``cosine``.
    """
    best, waited, reductions = -math.inf, 0, 0
    for score in at.scores:
        better = score > best + threshold
        best, waited = (score, 0) if better else (best, waited + 1)
        if waited > patience:
            waited, reductions = 0, reductions + 1
    return _rise(at, int(warm_up * at.steps)) * factor**reductions


def _rise(at: At, rising: int) -> float:
    return (at.step + 1) / rising if at.step < rising else 1.0


def _eased(before: float, after: float, done: float) -> float:
    """Half a cosine from one factor to another."""
    return after + (before - after) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
