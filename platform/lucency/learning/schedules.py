"""The learning rate over a phase, as a factor of the phase's own; one call a step."""

import math
from typing import Annotated

from pydantic import Field

from lucency.registry import Family

schedules: Family[float] = Family("schedule", "lucency.learning.schedules")

WarmUp = Annotated[float, Field(ge=0, lt=1)]


@schedules.register("constant")
def constant(step: int, steps: int, *, warm_up: WarmUp = 0.0) -> float:
    """The full rate all the way; ``warm_up`` as for ``cosine``."""
    return _rise(step, int(warm_up * steps))


@schedules.register("cosine")
def cosine(step: int, steps: int, *, warm_up: WarmUp = 0.1) -> float:
    """
    Linear up, then half a cosine down to zero.

    Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983, without restarts.

    Args:
        warm_up: Share of the steps in which the rate rises from zero.
    """
    rising = int(warm_up * steps)
    if step < rising:
        return _rise(step, rising)
    done = (step - rising) / max(1, steps - rising)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@schedules.register("triangle")
def triangle(step: int, steps: int, *, warm_up: WarmUp = 0.25, end: WarmUp = 0.0) -> float:
    """
    Linear up, then linear down: the one-cycle policy of Smith and Topin, 2018,
    https://arxiv.org/abs/1708.07120, with straight sides.

    Args:
        warm_up: Share of the steps in which the rate rises from zero.
        end: Factor that is left after the last step.
    """
    rising = int(warm_up * steps)
    if step < rising:
        return _rise(step, rising)
    done = min(1.0, (step - rising) / max(1, steps - rising))
    return 1 - (1 - end) * done


def _rise(step: int, steps: int) -> float:
    return (step + 1) / steps if step < steps else 1.0
