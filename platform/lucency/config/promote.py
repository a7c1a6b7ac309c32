"""What ``jobs/promote.py`` may be told."""

from pathlib import Path

from pydantic import model_validator

from lucency.config.node import Node
from lucency.evaluation.drop import MostDrop
from lucency.evaluation.rule import ClinicalRule


class PromoteConfig(Node):
    """
    A bundle to make the champion, or a step back.

    Attributes:
        rule: The rule in force here; the bundle's own is not asked.
        most_drop: What figures may fall by at other sites; with a bound, evidence of such a site
            is required.
        rollback: Change champion and previous version instead of promoting.
        reason: Kept in the store's history.
    """

    store: Path
    bundle: Path | None = None
    rule: ClinicalRule = ClinicalRule()
    most_drop: MostDrop = MostDrop()
    rollback: bool = False
    reason: str = ""

    @model_validator(mode="after")
    def _one_of_two(self) -> "PromoteConfig":
        if (self.bundle is None) != self.rollback:
            raise ValueError("give a bundle to promote, or --rollback, and not both")
        return self
