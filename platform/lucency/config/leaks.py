"""What ``jobs/leaks.py`` may be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lucency.config.node import Node
from lucency.datasets import leaks


class LeaksConfig(Node):
    """
    A table whose splits must share nothing, and a folder for what was found.

    Attributes:
        against: Another table, of which no film may be in the first.
        patients: Off where the two tables number their patients each in its own way.
        near: Look for changed copies too: stored anew, mirrored, cropped, brighter.
        bits: How many of the 64 bits of two hashes may differ in a pair worth a closer look.
        similarity: How much of the detail must agree in a changed copy, as a correlation.
        shown: Pairs on the contact sheet; the list holds all.
    """

    table: Path
    against: Path | None = None
    output: Path
    patients: bool = True
    near: bool = True
    bits: Annotated[int, Field(ge=0, le=16)] = leaks.BITS
    similarity: Annotated[float, Field(ge=0.5, lt=1)] = leaks.SIMILARITY
    shown: Annotated[int, Field(ge=1, le=300)] = 60
