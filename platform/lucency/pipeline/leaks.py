"""Table -> nothing shared between its splits, or a refusal with the films to look at."""

from typing import Any

from lucency import progress
from lucency.config.leaks import LeaksConfig
from lucency.datasets import gate
from lucency.datasets.gate import LeakGate
from lucency.datasets.table import Table


def leaks(config: LeaksConfig) -> dict[str, Any]:
    """
    Look for patients and films that stand in two splits, or in two tables.

    Raises:
        LeakFound: there are some; the list and the contact sheet are written.
    """
    asked = config.model_dump(include=set(LeakGate.model_fields))
    with progress.stage("look for shared films"):
        return gate.refuse_leaks(
            Table.open(config.table), config.output, LeakGate(**asked), config.plain()
        )
