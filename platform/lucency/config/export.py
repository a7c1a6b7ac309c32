"""What ``jobs/export.py`` may be told."""

from pathlib import Path

from lucency.config.node import Node


class ExportConfig(Node):
    """
    A finished run and the folder for its bundle.

    Attributes:
        table: Where the run's table is now; the path it was trained from if left out.
    """

    run: Path
    output: Path
    name: str = "pneumonia"
    table: Path | None = None
