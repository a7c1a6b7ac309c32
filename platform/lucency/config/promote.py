"""What ``jobs/promote.py`` may be told."""

from pathlib import Path

from pydantic import model_validator

from lucency.config.node import Node
from lucency.evaluation.drop import MostDrop
from lucency.evaluation.rule import ClinicalRule


class PromoteConfig(Node):
    """
    One move of a store's aliases.

    Attributes:
        store: A folder, or the URI of one in a bucket.
        bundle: To make the champion, if the gate lets it.
        as_challenger: Put the bundle beside the champion instead, where a rollout tries it.
        promote_challenger: Make the challenger the champion; the gate judges it again.
        rollback: Change champion and previous version.
        withdraw: Take the challenger away.
        rule: The rule in force here; the bundle's own is not asked.
        most_drop: What figures may fall by at other sites; with a bound, evidence of such a site
            is required.
        reason: Kept in the store's history.
    """

    store: str | Path
    bundle: Path | None = None
    as_challenger: bool = False
    promote_challenger: bool = False
    rollback: bool = False
    withdraw: bool = False
    rule: ClinicalRule = ClinicalRule()
    most_drop: MostDrop = MostDrop()
    reason: str = ""

    @model_validator(mode="after")
    def _one_move(self) -> "PromoteConfig":
        asked = [self.bundle is not None, self.promote_challenger, self.rollback, self.withdraw]
        if sum(asked) != 1:
            raise ValueError(
                "give one of: a bundle to promote, --promote_challenger, --rollback, --withdraw"
            )
        if self.as_challenger and self.bundle is None:
            raise ValueError("as_challenger is true and there is no bundle: give one")
        return self
