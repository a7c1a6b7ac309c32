"""What ``jobs/export.py`` may be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lucency.bundle.artifact import Use
from lucency.config.node import Node


class ExportConfig(Node):
    """
    A finished run and the folder for its bundle.

    Attributes:
        table: Where the run's table is now; the path it was trained from if left out.
        coverage: Promised share of films, in every class, whose prediction set has the true
            label; films whose set does not settle it are answered ``uncertain``.
        use: What the model is for; it stands in the bundle's model card.
    """

    run: Path
    output: Path
    name: str = "pneumonia"
    table: Path | None = None
    coverage: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    use: Use = Use()
