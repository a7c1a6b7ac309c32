"""What the rule that stops trials may be told."""

from typing import Annotated

from pydantic import Field

from lucency.config.node import Node


class Stopping(Node):
    """
    When a trial of a search is stopped before its last epoch; ``search.rule`` says how.

    Attributes:
        grace: Epochs of a trial in which nothing stops it.
        eta: A rung promotes about the best one in so many trials; the next is so many times later.
        budget: Share of the epochs that all trials would take to the end. While less is spent,
            rungs promote those that can't be told from the leader, too; in the second half of a
            trial they do so anyway, which a search spends some percent over its budget for.
        confidence: Of the two-sided bounds that stop a trial; each side errs half of the rest.
    """

    grace: Annotated[int, Field(ge=1)] = 2
    eta: Annotated[float, Field(gt=1)] = 2.0
    budget: Annotated[float, Field(gt=0, le=1)] = 0.3
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
