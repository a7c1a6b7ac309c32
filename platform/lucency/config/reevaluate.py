"""What ``jobs/reevaluate.py`` may be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lucency.config.node import Node
from lucency.evaluation.rule import ClinicalRule


class ReevaluateConfig(Node):
    """
    The logs of a service, and what a model in use must hold.

    Attributes:
        logs: The service's logs.folder.
        positive: The label that must not be missed.
        days: How far to look back from now.
        verify: Refuse logs that are not what was written; takes their key.
        key: File of that key, as the service has it.
        output: Folder for page, figures and metrics.
        metrics: A file for node_exporter's textfile collector; left out, none is written.
    """

    logs: Path
    positive: Annotated[str, Field(min_length=1)] = "PNEUMONIA"
    days: Annotated[int, Field(ge=1)] = 365
    rule: ClinicalRule = ClinicalRule()
    verify: bool = True
    key: Path | None = None
    output: Path
    metrics: Path | None = None
