"""What ``jobs/prepare.py`` may be told."""

from pathlib import Path
from typing import Annotated

from lucency.augment import Augmentation
from lucency.config.node import Node
from lucency.datasets.base import datasets
from lucency.datasets.clean import Checks
from lucency.datasets.gate import LeakGate
from lucency.datasets.splits import SplitPlan
from lucency.preprocess import Preprocess
from lucency.registry import Options


class PrepareConfig(Node):
    """
    A source, what is asked of its films, how patients are divided, and the folder for the table.

    Attributes:
        leaks: The gate before the table takes its place.
        preview: Draw some films as training would vary them, beside the report.
        augmentation: For the preview only; a recipe brings its own.
        preprocess: For the preview only; a recipe brings its own.
    """

    dataset: Annotated[Options, datasets.field()]
    checks: Checks = Checks()
    splits: SplitPlan = SplitPlan()
    leaks: LeakGate = LeakGate()
    output: Path
    preview: bool = False
    augmentation: Augmentation = Augmentation()
    preprocess: Preprocess = Preprocess()
