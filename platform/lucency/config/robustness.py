"""What ``jobs/robustness.py`` may be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lucency.config.node import Node
from lucency.registry import Options
from lucency.robustness import base


class RobustnessConfig(Node):
    """
    A bundle, the films to make worse, and where the report goes.

    Attributes:
        report: HTML file. It shows a film, so it stays beside the bundle, not inside. The figures
            are written next to it as JSON.
        split: ``test`` only for a model whose evidence is sealed already, and with a reason.
        films: Films at most, whole patients; all of the split if left out.
        corruptions: All registered ones if left out.
        shortcut_auroc: A probe is named a shortcut when the lower bound of its AUROC is over
            this. 0.6 is a quarter of the way from chance (0.5) to 0.9, where a model is of use.
        reason: Why the test split is opened again; it is written into its record.
    """

    bundle: Path
    table: Path
    report: Path
    split: Literal["validation", "test"] = "validation"
    films: Annotated[int, Field(ge=2)] | None = None
    corruptions: tuple[Annotated[Options, base.corruptions.field()], ...] | None = None
    shortcut_auroc: Annotated[float, Field(ge=0.5, lt=1)] = 0.6
    reason: str = ""
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _test_has_a_reason(self) -> "RobustnessConfig":
        if self.split == "test" and not self.reason:
            raise ValueError(
                "split test is locked: say why it is opened again with reason=TEXT, or take "
                "split=validation"
            )
        names = [each.name for each in self.corruptions or ()]
        if len(set(names)) < len(names):
            raise ValueError(f"corruptions {names} name one of them twice: give each once")
        return self
