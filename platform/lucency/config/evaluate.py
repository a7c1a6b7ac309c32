"""What ``jobs/evaluate.py`` may be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lucency.config.node import Node


class EvaluateConfig(Node):
    """
    A bundle, the table it was made from, and where the report goes.

    Attributes:
        report: HTML file. It shows films, so it stays beside the bundle, not inside.
        prevalences: Shares of positive films at the places where the model is to work, for which
            the predictive values are worked out.
        against: Bundle of another model, to be compared with on the same films.
        reason: Why the test split is opened again, for another model of the same lineage.
    """

    bundle: Path
    table: Path
    report: Path
    prevalences: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.05, 0.2)
    against: Path | None = None
    reason: str = ""
