"""What ``jobs/prepare.py`` may be told."""

from pathlib import Path
from typing import Annotated

from lucency.config.node import Node
from lucency.datasets.base import datasets
from lucency.datasets.splits import SplitPlan
from lucency.registry import Options


class PrepareConfig(Node):
    """A source, how its patients are divided, and the folder for table and report."""

    dataset: Annotated[Options, datasets.field()]
    splits: SplitPlan = SplitPlan()
    output: Path
