"""What ``jobs/worklist.py`` may be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lucency.config.node import Node


class WorklistConfig(Node):
    """
    A bundle, its table, and the folder for the films to look at again; or a filled list.

    Attributes:
        output: Gets the list as page, CSV and record. It shows films: keep it where they are kept.
        split: ``test`` only for a model whose evidence is sealed already, and with a reason.
        limit: Films on the page; the CSV has all of the list.
        side: Longest side of a film on the page, pixels.
        reason: Why the test split is opened again; it is written into its record.
        verdicts: The filled CSV of the list in ``output``; nothing is predicted then.
    """

    bundle: Path
    table: Path
    output: Path
    split: Literal["validation", "test"] = "validation"
    limit: Annotated[int, Field(ge=0)] = 40
    side: Annotated[int, Field(ge=64, le=2048)] = 384
    reason: str = ""
    verdicts: Path | None = None

    @model_validator(mode="after")
    def _test_has_a_reason(self) -> "WorklistConfig":
        if self.split == "test" and not self.reason and self.verdicts is None:
            raise ValueError(
                "split test is locked: say why it is opened again with reason=TEXT, or take "
                "split=validation"
            )
        return self
