"""What ``jobs/evaluate.py`` may be told."""

from pathlib import Path

from lucency.config.node import Node


class EvaluateConfig(Node):
    """
    A bundle, the table it was made from, and where the report goes.

    Attributes:
        report: HTML file. It shows films, so it stays beside the bundle, not inside.
    """

    bundle: Path
    table: Path
    report: Path
