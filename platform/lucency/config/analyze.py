"""What ``jobs/analyze.py`` may be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from lucency.anatomy.what_if import Change
from lucency.anatomy.windows import Link
from lucency.config.node import Node
from lucency.images import Color
from lucency.models.base import architectures
from lucency.registry import Options


class AnalyzeConfig(Node):
    """
    A network, an input size, and what is to be shown of them.

    Attributes:
        model: Left out for a chain alone, or with ``run``, which has its own.
        run: Folder of a finished run: its network, input and weights are shown.
        outputs: Logits of the network; one for two classes.
        size: Side of the input in pixels; the architecture's usual one if left out.
        color: The architecture's usual one if left out.
        film: The film to show the network; a drawn one if left out.
        change: Layers to rebuild with other windows, shown beside the network as it was.
        chain: Convolutions and pools to calculate without a network.
        pictures: Off where only numbers are wanted.
        output: Folder for the report, its pictures and the table.
    """

    model: Annotated[Options, architectures.field()] | None = None
    run: Path | None = None
    outputs: Annotated[int, Field(ge=1)] = 1
    size: Annotated[int, Field(ge=1, le=2048)] | None = None
    color: Color | None = None
    film: Path | None = None
    change: dict[str, Change] = Field(default_factory=dict)
    chain: tuple[Link, ...] = ()
    pictures: bool = True
    seed: Annotated[int, Field(ge=0)] = 0
    output: Path

    @model_validator(mode="after")
    def _something_to_show(self) -> "AnalyzeConfig":
        if self.model is not None and self.run is not None:
            raise ValueError("a run has its own model: give model or run, not both")
        if self.model is None and self.run is None and not self.chain:
            raise ValueError("give a model, a run or a chain of layers to analyse")
        if self.model is None and self.run is None and self.change:
            raise ValueError("change rebuilds layers of a network: give a model or a run")
        return self
