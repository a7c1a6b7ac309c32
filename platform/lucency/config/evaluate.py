"""What ``jobs/evaluate.py`` may be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lucency.config.node import Node


class Unseen(Node):
    """
    How it is made sure that a model never saw the films of another table.

    Attributes:
        trained_on: The table that the model was trained on, to hold the films against. Left out,
            only the two tables' digests are compared, and the evidence says so.
        patients: Off where the two tables number their patients each in its own way.
        near: Look for changed copies too: stored anew, mirrored, cropped, brighter.
    """

    trained_on: Path | None = None
    patients: bool = True
    near: bool = True


class EvaluateConfig(Unseen):
    """
    A bundle, a table, and where the report goes.

    Attributes:
        table: The one that the bundle was made from, or with ``external`` any other.
        report: HTML file. It shows films, so it stays beside the bundle, not inside.
        prevalences: Shares of positive films at the places where the model is to work, for which
            the predictive values are worked out.
        against: Bundle of another model, to be compared with on the same films.
        reason: Why the test split is opened again, for another model of the same lineage.
        external: The table is another site's: the bundle is judged there as it is.
        split: Of the other site's table; all of them if left out.
        labels: The model's name for a class of the other table, where it has another one.
    """

    bundle: Path
    table: Path
    report: Path
    prevalences: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.05, 0.2)
    against: Path | None = None
    reason: str = ""
    external: bool = False
    split: Literal["train", "validation", "test"] | None = None
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_table_or_another(self) -> "EvaluateConfig":
        if self.external and self.against is not None:
            raise ValueError("against compares two models on their own test films: not external")
        if not self.external and (self.split or self.labels or self.trained_on):
            raise ValueError("split, labels and trained_on are of another table: give external")
        return self
